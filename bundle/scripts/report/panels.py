"""One map of one axial slice as a picture: orientation, colour scale, overlay and colour bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from scripts.uncertainty.maps import MapName
from scripts.uncertainty.scores import UNITS, Score, variance_unit

Plane = NDArray[np.float32]

MARK = "#E69F00"
"""Orange of the colour-blind-safe Okabe-Ito set: the mask's outline and marked slices."""


class Volume(Protocol):
    """(X, Y, Z) in RAS order: an array, or anything that gives one for ``volume[:, :, k]``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    def __getitem__(self, index: Any, /) -> Any:  # noqa: ANN401 - as NumPy
        """Return a part of the volume."""


@dataclass(frozen=True)
class Panel:
    """How one map is shown."""

    title: str
    unit: str
    colours: str
    """A colour map of even lightness that colour-blind readers can follow."""
    overlay: bool = False
    """Drawn over the scan, more opaque where higher."""


PANELS = {
    "scan": Panel("scan", "intensity (normalised)", "gray"),
    "reconstruction": Panel("reconstruction", "intensity (normalised)", "gray"),
    "squared_error": Panel("squared error", "intensity² (normalised)", "magma"),
    "anomaly": Panel("anomaly", "score", "inferno", overlay=True),
    "epistemic": Panel("epistemic variance", "intensity² (normalised)", "viridis"),
    "aleatoric": Panel("aleatoric variance", "intensity² (normalised)", "cividis"),
    "total_uncertainty": Panel("total variance", "intensity² (normalised)", "cividis"),
}
"""By map name, in the order of the columns."""


def map_units(score: str) -> dict[str, str]:
    """Return the units of the maps where they depend on the score, by map name."""
    variances = (MapName.EPISTEMIC, MapName.ALEATORIC, MapName.TOTAL_UNCERTAINTY)
    units = {name.value: variance_unit(score) for name in variances}
    return {MapName.ANOMALY.value: f"score ({UNITS[Score(score)]})", **units}


def axial_plane(volume: Volume, index: int) -> Plane:
    """Return an axial slice as (rows, columns): anterior row first, the patient's right column first."""
    return np.asarray(volume[:, :, index], dtype=np.float32)[::-1, ::-1].T


def head_box(planes: Sequence[Plane]) -> tuple[slice, slice]:
    """Return the rows and columns that hold the head in any of the planes, with a small margin."""
    brightest = np.max(planes, axis=0)
    head = brightest > brightest.min() + 0.08 * np.ptp(brightest)
    rows, columns = (_extent(head.any(axis=axis)) for axis in (1, 0))
    return rows, columns


def _extent(inside: NDArray[np.bool_]) -> slice:
    found = np.flatnonzero(inside)
    first, last = (found[0], found[-1]) if found.size else (0, inside.size - 1)
    margin = inside.size // 50 + 1
    return slice(max(0, first - margin), min(inside.size, last + margin + 1))


def colour_scales(planes: Mapping[str, Sequence[Plane]]) -> dict[str, Normalize]:
    """Return the scale of each column: 0 (or the lowest value below it) to the 99.5th percentile.

    Zeros do not count. The reconstruction gets the scan's scale.
    """
    scales = {name: _scale(column) for name, column in planes.items() if name in PANELS}
    if "reconstruction" in scales:
        scales["reconstruction"] = scales["scan"]
    return scales


def _scale(column: Sequence[Plane]) -> Normalize:
    values = np.concatenate([plane.ravel() for plane in column])
    values = values[values != 0]
    if not values.size:
        return Normalize(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    low = min(0.0, low)
    return Normalize(low, high if high > low else low + 1.0)


def draw_plane(
    axis: Axes, name: str, planes: Mapping[str, Plane], scales: Mapping[str, Normalize], aspect: float
) -> None:
    """Draw the map ``name`` of one slice; ``planes`` holds every map of that slice and "scan".

    Args:
        axis: Where to draw.
        name: A key of ``PANELS``.
        planes: (rows, columns) each, from :func:`axial_plane`.
        scales: From :func:`colour_scales`.
        aspect: Height of a pixel divided by its width.
    """
    axis.set_xticks([])
    axis.set_yticks([])
    panel, plane, scale = PANELS[name], planes[name], scales[name]
    opacity = None
    if panel.overlay:
        axis.imshow(planes["scan"], PANELS["scan"].colours, scales["scan"], aspect=aspect)
        opacity = np.sqrt(np.clip(np.asarray(scale(plane)), 0, 1))
    axis.imshow(plane, panel.colours, scale, aspect=aspect, alpha=opacity)
    if name != "scan":
        return
    style: dict[str, Any] = {"color": "white", "fontsize": 8, "weight": "bold", "va": "center"}
    axis.text(0.02, 0.5, "R", ha="left", transform=axis.transAxes, **style)
    axis.text(0.98, 0.5, "L", ha="right", transform=axis.transAxes, **style)
    if "mask" in planes and np.ptp(planes["mask"]) > 0:
        axis.contour(planes["mask"], [0.5], colors=MARK, linewidths=0.8)


def draw_colour_bar(axes: Sequence[Axes], name: str, scale: Normalize, unit: str) -> None:
    """Draw the colour bar of a column below its ``axes``, a power of ten drawn out into the label."""
    power = _power_of_ten(scale)
    bar = axes[0].figure.colorbar(
        ScalarMappable(scale, PANELS[name].colours),
        ax=list(axes),
        location="bottom",
        aspect=18,
        pad=0.01,
        extend="max",
        ticks=MaxNLocator(3),
        format=FuncFormatter(lambda value, _: f"{value / 10**power:.3g}"),
    )
    bar.ax.tick_params(labelsize=7)
    digits = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    bar.set_label(f"10{digits} {unit}" if power else unit, fontsize=8)


def _power_of_ten(scale: Normalize) -> int:
    """Return the exponent to draw out of the tick labels; 0 for numbers that read well as they are."""
    largest = max(abs(scale.vmin or 0.0), abs(scale.vmax or 0.0))
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    return 0 if -2 < power < 4 else power
