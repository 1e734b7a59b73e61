"""One picture per scan: its highest-scoring slices with their maps, and the score of every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from scripts.errors import InputError
from scripts.io.atomic import atomic_path
from scripts.report.panels import (
    MARK,
    PANELS,
    Volume,
    axial_plane,
    colour_scales,
    draw_colour_bar,
    draw_plane,
    head_box,
)

CONVENTION = (
    "Radiological convention: the patient's right (R) is on the left of each picture, anterior is up."
)
RESEARCH = "Research use only, not for diagnosis."
SYNTHETIC = "SYNTHETIC phantom data, not a person."

Scores = Sequence[float | None]

_DPI = 100
_PANEL_INCHES, _LABEL_INCHES, _COLOUR_BAR_INCHES, _STRIP_INCHES, _FOOTER_INCHES = 1.8, 1.0, 0.6, 2.0, 0.45


def plot_overview(
    image: Volume,
    maps: Mapping[str, Volume],
    slice_scores: Scores,
    slice_threshold: float | None,
    path: str | Path,
    title: str,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    units: Mapping[str, str] | None = None,
    synthetic: bool = False,
    rows: int = 4,
) -> Path:
    """Draw the overview as a PNG, atomically, and return ``path``.

    The ``rows`` highest-scoring slices are shown, the highest first, cut to the head. The colour scale
    of a column is the same for all of them. Only these slices are read from the volumes.

    Args:
        image: (X, Y, Z) scan in RAS order.
        maps: Any of ``PANELS`` and "mask" (an outline on the scan), same shape as ``image``.
        slice_scores: (Z,), None for skipped slices.
        slice_threshold: It is said of each score whether it is above; None without calibration.
        path: Ends in .png.
        title: One line above the picture.
        spacing: In-plane pixel size along X and Y, mm.
        units: Unit by map name ("scan" for ``image``) where it is not that of ``PANELS``.
        synthetic: Say in the footer that this is no person.
        rows: How many slices to show, at least 1.

    Raises:
        InputError: A map is unknown, or shapes or the number of scores differ.
    """
    _check(image, maps, slice_scores, rows)
    shown = select_slices(slice_scores, rows)
    volumes = {"scan": image, **maps}
    planes = {name: [axial_plane(volume, index) for index in shown] for name, volume in volumes.items()}
    box = head_box(planes["scan"])
    planes = {name: [plane[box] for plane in column] for name, column in planes.items()}
    scales = colour_scales(planes)
    columns = [name for name in PANELS if name in scales]
    aspect = spacing[1] / spacing[0]
    height, width = planes["scan"][0].shape

    figure, upper, lower = _make_page(len(shown), len(columns), aspect * height / width)
    grid = upper.subplots(len(shown), len(columns), squeeze=False)
    for name, axes in zip(columns, grid.T, strict=True):
        for row, axis in enumerate(axes):
            draw_plane(axis, name, {key: planes[key][row] for key in planes}, scales, aspect)
        axes[0].set_title(PANELS[name].title, fontsize=10)
        draw_colour_bar(list(axes), name, scales[name], (units or {}).get(name, PANELS[name].unit))
    if "mask" in maps:
        grid[0, 0].set_title("scan, mask outlined", fontsize=10)
    _label_rows(list(grid[:, 0]), shown, slice_scores, slice_threshold)
    _draw_scores(lower.subplots(), slice_scores, slice_threshold, shown)
    _write_texts(figure, title, synthetic)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=_DPI, format="png")
    return Path(path)


def select_slices(slice_scores: Scores, rows: int) -> list[int]:
    """Return the indices of the highest scores, highest first; the middle slice when none has a score.

    >>> select_slices([None, 0.1, 0.3, 0.3], rows=2)
    [2, 3]
    """
    scored = [(-score, index) for index, score in enumerate(slice_scores) if score is not None]
    return [index for _, index in sorted(scored)[:rows]] or [len(slice_scores) // 2]


def _check(image: Volume, maps: Mapping[str, Volume], slice_scores: Scores, rows: int) -> None:
    known = PANELS.keys() - {"scan"} | {"mask"}
    for name, volume in maps.items():
        if name not in known:
            raise InputError(f"expected maps among {', '.join(sorted(known))} in an overview, given '{name}'")
        if tuple(volume.shape) != tuple(image.shape):
            raise InputError(f"expected '{name}' of shape {image.shape} like the scan, given {volume.shape}")
    if len(image.shape) != 3 or len(slice_scores) != image.shape[2]:
        raise InputError(
            "expected a scan (X, Y, Z) and Z slice scores, "
            f"given shape {image.shape} and {len(slice_scores)} scores"
        )
    if rows < 1:
        raise InputError(f"expected at least 1 slice in an overview, given rows = {rows}")


def _make_page(rows: int, columns: int, aspect: float) -> tuple[Figure, SubFigure, SubFigure]:
    """Return a figure with a part for panels of height / width ``aspect`` and one for the slice scores."""
    panels = rows * _PANEL_INCHES * aspect + _COLOUR_BAR_INCHES
    width = columns * _PANEL_INCHES + _LABEL_INCHES
    height = panels + _STRIP_INCHES + 2 * _FOOTER_INCHES
    footer = _FOOTER_INCHES / height
    layout = ConstrainedLayoutEngine(
        w_pad=0.02,
        h_pad=0.03,
        wspace=0.01,
        hspace=0.01,
        rect=(0.005, footer, 0.99, 1 - footer - 0.06 / height),
    )
    figure = Figure(figsize=(max(width, 8.0), height), facecolor="white", layout=layout)
    parts = figure.add_gridspec(2, 1, height_ratios=[panels, _STRIP_INCHES])
    return figure, figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])


def _label_rows(
    axes: Sequence[Axes], shown: Sequence[int], slice_scores: Scores, limit: float | None
) -> None:
    for axis, index in zip(axes, shown, strict=True):
        score = slice_scores[index]
        lines = [f"slice {index}", "not scored" if score is None else f"score {score:.3g}"]
        if score is not None and limit is not None:
            lines.append("above threshold" if score > limit else "not above\nthreshold")
        axis.set_ylabel("\n".join(lines), fontsize=9, rotation=0, ha="right", va="center")


def _draw_scores(axis: Axes, slice_scores: Scores, limit: float | None, shown: Sequence[int]) -> None:
    """Draw the score of every slice, the threshold, and marks at the slices shown above."""
    scores = np.array([np.nan if score is None else score for score in slice_scores], dtype=np.float64)
    positions = np.arange(len(scores))
    axis.plot(positions, scores, color="0.25", linewidth=1, marker=".", markersize=4, label="slice score")
    axis.plot(shown, scores[list(shown)], "D", color=MARK, markeredgecolor="black", label="shown above")
    if limit is None:
        axis.plot([], [], " ", label="no threshold: not calibrated")
    else:
        axis.axhline(limit, color="#0072B2", linestyle="--", linewidth=1.2, label=f"threshold {limit:.3g}")
    skipped = np.isnan(scores)
    if skipped.any():
        axis.bar(
            positions[skipped],
            1,
            width=1,
            color="0.93",
            transform=axis.get_xaxis_transform(),
            label="not scored",
        )
    axis.set_xlim(-0.5, len(scores) - 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("slice, from inferior to superior", fontsize=8)
    axis.set_ylabel("score", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def _write_texts(figure: Figure, title: str, synthetic: bool) -> None:
    # Case names may hold a $, which would start a formula.
    figure.suptitle(title, fontsize=12, parse_math=False)
    line = 0.16 / figure.get_figheight()
    figure.text(0.01, 0.4 * line, f"{RESEARCH}  {CONVENTION}", fontsize=7.5)
    if synthetic:
        figure.text(0.01, 1.4 * line, SYNTHETIC, fontsize=9, weight="bold", color="#D55E00")
