"""Attention as pictures: what the keys of each layer, and each head, receive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from scripts.report.page import Picture, draw_png
from scripts.report.panels import MARK, axial_plane

COLOURS = "viridis"


class Layer(Protocol):
    """What is drawn of a layer, see ``engines.attention_maps.LayerAttention``."""

    @property
    def name(self) -> str:
        """Of the layer."""

    @property
    def received(self) -> np.ndarray:
        """(N, heads, g, g) share of attention that each key receives."""


def attention_picture(
    scans: np.ndarray, masks: np.ndarray, chosen: Sequence[int], names: Sequence[str], layers: Sequence[Layer]
) -> Picture:
    """Draw the attention of every layer, its heads averaged, for some slices.

    Args:
        scans: (N, X, Y).
        masks: (N, X, Y), nonzero in a lesion.
        chosen: slices to draw, at least one.
        names: what each of them is called.
        layers: attention layers.
    """
    maps = {layer.name: [_evenly(layer.received[index].mean(axis=0)) for index in chosen] for layer in layers}
    return Picture(
        "What attention looks at, by layer",
        _draw(scans, masks, chosen, names, maps),
        "Attention that each key receives from the head, divided by an even share (1 is even), heads "
        "averaged, beside the scan with its lesion outlined.",
    )


def head_picture(
    scans: np.ndarray, masks: np.ndarray, chosen: Sequence[int], names: Sequence[str], layer: Layer
) -> Picture:
    """Draw the attention of every head of one layer. Args: as for :func:`attention_picture`."""
    maps = {
        f"head {head + 1}": [_evenly(layer.received[index, head]) for index in chosen]
        for head in range(layer.received.shape[1])
    }
    return Picture(
        f"What the heads of {layer.name} look at",
        _draw(scans, masks, chosen, names, maps),
        "Attention that each key receives from the head, divided by an even share (1 is even).",
    )


def _evenly(received: np.ndarray) -> np.ndarray:
    return received * received.size / received.sum()


def _draw(
    scans: np.ndarray,
    masks: np.ndarray,
    chosen: Sequence[int],
    names: Sequence[str],
    maps: dict[str, list[np.ndarray]],
) -> bytes:
    values = np.concatenate([plane.ravel() for column in maps.values() for plane in column])
    scale = Normalize(0, float(np.percentile(values, 99)))
    figure = Figure(figsize=(1.6 * (len(maps) + 1), 1.55 * len(chosen) + 0.5), layout="constrained")
    grid = figure.subplots(len(chosen), len(maps) + 1, squeeze=False)
    for row, index in enumerate(chosen):
        scan, mask = (axial_plane(volume[index][..., None], 0) for volume in (scans, masks))
        grid[row, 0].imshow(scan, "gray", vmin=0, vmax=1)
        _outline(grid[row, 0], mask)
        grid[row, 0].set_ylabel(names[row], fontsize=8)
        for axis, column in zip(grid[row, 1:], maps.values(), strict=True):
            extent = (0, scan.shape[1], scan.shape[0], 0)
            axis.imshow(axial_plane(column[row][..., None], 0), COLOURS, scale, extent=extent)
            _outline(axis, mask)
    for axis, title in zip(grid[0], ("scan", *maps), strict=True):
        axis.set_title(title, fontsize=8)
    for axis in grid.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    bar = figure.colorbar(
        ScalarMappable(scale, COLOURS), ax=grid.ravel().tolist(), location="right", extend="max"
    )
    bar.set_label("attention / even share", fontsize=8)
    return draw_png(figure)


def _outline(axis: Axes, mask: np.ndarray) -> None:
    if mask.any():
        axis.contour(mask > 0, [0.5], colors=MARK, linewidths=0.8)
