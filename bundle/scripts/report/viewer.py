"""The slices that a page shows, as pictures side by side: which, in which colours and window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Normalize

from scripts.report.panels import PANELS, Plane, Volume, axial_plane, colour_scales, head_box
from scripts.report.sprites import COLUMNS, draw_scale, draw_sprite, outline
from scripts.uncertainty.maps import MASK, MEANING, MapName

MOST_SLICES = 200
"""On a page: some 30 kB each."""

Scores = Sequence[float | None]


@dataclass(frozen=True)
class ViewerPanel:
    """One map of every slice shown."""

    name: str
    title: str
    unit: str
    meaning: str
    """Of the map, in words; empty for the scan."""
    sprite: bytes
    bar: bytes
    low: float
    """What the first colour stands for."""
    high: float
    """What the last colour and everything above it stands for."""
    mark: float | None
    """Place of the threshold on the colours, 0 to 1; None off them."""


@dataclass(frozen=True)
class Viewer:
    """What a page needs to show slices; all pictures have the same size and order."""

    indices: Sequence[int]
    """Slices shown, ascending."""
    outlines: Sequence[str]
    """SVG path of the mask of each."""
    panels: Sequence[ViewerPanel]
    width: int
    height: int
    """Pixels of one slice, cut to the head."""
    pixel_mm: float
    columns: int = COLUMNS

    @property
    def rows(self) -> int:
        """Rows of slices in a sprite."""
        return -(-len(self.indices) // self.columns)

    @property
    def width_mm(self) -> float:
        """Width of a picture, mm."""
        return self.width * self.pixel_mm


def make_viewer(
    volumes: Mapping[str, Volume],
    scores: Scores,
    pixel_mm: float,
    units: Mapping[str, str],
    pixel_threshold: float | None,
) -> Viewer:
    """Return the viewer of a scan.

    Args:
        volumes: (X, Y, Z) each in RAS order: "scan", any other of ``PANELS``, and "mask".
        scores: (Z,), None for skipped slices, which are not shown.
        pixel_mm: side of a pixel.
        units: by map name, where it is not that of ``PANELS``.
        pixel_threshold: marked on the colours of the anomaly map.
    """
    indices = shown_slices(scores)
    planes = {name: [axial_plane(volume, index) for index in indices] for name, volume in volumes.items()}
    box = head_box(planes["scan"])
    planes = {name: [plane[box] for plane in column] for name, column in planes.items()}
    scales = colour_scales(planes)
    panels = [
        _make_panel(name, planes[name], scales[name], units, pixel_threshold)
        for name in PANELS
        if name in scales
    ]
    height, width = planes["scan"][0].shape
    outlines = [outline(plane > 0) for plane in planes[MASK]] if MASK in planes else [""] * len(indices)
    return Viewer(indices, outlines, panels, width, height, pixel_mm)


def shown_slices(scores: Scores, most: int = MOST_SLICES) -> list[int]:
    """Return the slices to show: the scored ones; of too many, the highest of each group of neighbours.

    Without any scored slice it is the middle one.

    >>> shown_slices([None, 0.1, 0.3, 0.2, 0.1], most=2)
    [2, 3]
    """
    scored = [(score, index) for index, score in enumerate(scores) if score is not None]
    size = -(-len(scored) // most)
    groups = [scored[start : start + size] for start in range(0, len(scored), size or 1)]
    return [max(group)[1] for group in groups] or [len(scores) // 2]


def _make_panel(
    name: str,
    planes: Sequence[Plane],
    scale: Normalize,
    units: Mapping[str, str],
    threshold: float | None,
) -> ViewerPanel:
    panel = PANELS[name]
    mark = float(scale(threshold)) if name == MapName.ANOMALY and threshold is not None else np.nan
    return ViewerPanel(
        name,
        panel.title,
        units.get(name, panel.unit),
        "" if name == "scan" else MEANING[MapName(name)],
        draw_sprite(planes, panel, scale),
        draw_scale(panel.colours),
        float(scale.vmin or 0.0),
        float(scale.vmax or 0.0),
        mark if 0 <= mark <= 1 else None,
    )
