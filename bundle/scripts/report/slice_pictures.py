"""Single slices with all their maps: the worst misses and the worst false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from scripts.report.page import Picture, draw_png
from scripts.report.panels import (
    MARK,
    PANELS,
    axial_plane,
    colour_scales,
    draw_colour_bar,
    draw_plane,
    head_box,
)

SHOWN = ("scan", "reconstruction", "squared_error", "epistemic", "aleatoric", "anomaly")


def worst_slices(facts: pd.DataFrame, scores: np.ndarray, label: int, count: int) -> list[int]:
    """Return the slices that a threshold gets wrong first, the worst first, at most one of each patient.

    Args:
        facts: slice facts with patient and label.
        scores: (N,) slice scores, higher is more abnormal.
        label: 1 for misses (abnormal slices of lowest score), 0 for false alarms (normal, highest).
        count: how many at most.
    """
    order = np.argsort(scores if label == 1 else -scores, kind="stable")
    mine = order[facts["label"].to_numpy()[order] == label]
    patients = facts["patient"].to_numpy()[mine]
    _, first = np.unique(patients, return_index=True)
    return [int(index) for index in mine[np.sort(first)][:count]]


def slice_picture(
    facts: pd.DataFrame,
    scores: np.ndarray,
    maps: Mapping[str, np.ndarray],
    chosen: Sequence[int],
    threshold: float | None,
    title: str,
    units: Mapping[str, str],
) -> Picture:
    """Draw slices in rows, with their maps and the mask in columns; one colour scale for each column.

    Args:
        facts: slice facts with case, slice, level and lesion_mm2.
        scores: (N,) slice scores.
        maps: (N, X, Y) each by the names of ``SHOWN``, and "mask", nonzero in a lesion.
        chosen: the slices, at least one.
        threshold: pixels above it are marked, None where there is none.
        title: of the picture.
        units: of the maps where they depend on the score, see :func:`map_units`.
    """
    planes = {
        name: [axial_plane(values[index][..., None], 0) for index in chosen] for name, values in maps.items()
    }
    box = head_box(planes["scan"])
    planes = {name: [plane[box] for plane in column] for name, column in planes.items()}
    scales = colour_scales({name: planes[name] for name in SHOWN})
    figure = Figure(figsize=(1.75 * (len(SHOWN) + 1) + 1.3, 2.0 * len(chosen) + 0.7), layout="constrained")
    grid = figure.subplots(len(chosen), len(SHOWN) + 1, squeeze=False)
    for row, index in enumerate(chosen):
        here = {name: column[row] for name, column in planes.items()}
        for axis, name in zip(grid[row], SHOWN, strict=False):
            draw_plane(axis, name, here, scales, aspect=1.0)
        _draw_mask(grid[row, -1], here, threshold)
        grid[row, 0].set_ylabel(
            _describe(facts.iloc[index], scores[index]), fontsize=7, rotation=0, ha="right", parse_math=False
        )
    for column, name in enumerate(SHOWN):
        grid[0, column].set_title(PANELS[name].title, fontsize=9)
        draw_colour_bar(list(grid[:, column]), name, scales[name], units.get(name, PANELS[name].unit))
    grid[0, -1].set_title("mask (white), marked", fontsize=9)
    # A bar of its own keeps the masks in line with the other columns.
    draw_colour_bar(list(grid[:, -1]), "scan", Normalize(0, 1), "lesion")
    return Picture(
        title,
        draw_png(figure),
        "At most one slice of each patient. Orange lines: the lesion mask on the scan, and on the mask the "
        "pixels above the validation threshold. The patient's right is on the left.",
    )


def _draw_mask(axis: Axes, planes: Mapping[str, np.ndarray], threshold: float | None) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.imshow(planes["mask"] > 0, "gray", vmin=0, vmax=1)
    marked = (planes["anomaly"] > (np.inf if threshold is None else threshold)) & (planes["scan"] > 0)
    if marked.any() and not marked.all():
        axis.contour(marked, [0.5], colors=MARK, linewidths=0.8)


def _describe(row: pd.Series, score: float) -> str:
    lesion = "" if np.isnan(row["lesion_mm2"]) else f"\n{row['lesion_mm2']:.0f} mm² lesion"
    return f"{row['case']}\nslice {row['slice']}, level {row['level']:.2f}\nscore {score:.3g}{lesion}"
