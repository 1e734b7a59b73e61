"""Many slices in one small PNG, coloured, and their masks as outlines: what a page's viewer shows."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from PIL import Image

from scripts.report.panels import Panel, Plane

COLUMNS = 12
"""Slices beside each other in a sprite: browsers limit the sides of a picture."""
SHADES = 255
"""Of a colour scale; colour 0 of the palette is no colour."""


def draw_sprite(planes: Sequence[Plane], panel: Panel, scale: Normalize) -> bytes:
    """Return slices as one PNG with a palette, ``COLUMNS`` beside each other, row by row.

    Pixels that are exactly 0 (background) are transparent. Of an overlay low values are, in part, too.

    Args:
        planes: (rows, columns) each, all of one shape, at least one.
        panel: the colours.
        scale: values beyond it get its first or last colour.
    """
    values = np.stack(planes)
    shades = np.rint(np.clip(np.asarray(scale(values)), 0, 1) * (SHADES - 1)).astype(np.uint8) + 1
    shades[values == 0] = 0
    image = Image.fromarray(_tile(shades))
    colours = colormaps[panel.colours](np.linspace(0, 1, SHADES))[:, :3]
    image.putpalette(bytes(3) + np.rint(colours * 255).astype(np.uint8).tobytes())
    opacity = np.sqrt(np.linspace(0, 1, SHADES)) if panel.overlay else np.ones(SHADES)
    buffer = io.BytesIO()
    image.save(buffer, "png", transparency=bytes(1) + np.rint(opacity * 255).astype(np.uint8).tobytes())
    return buffer.getvalue()


def draw_scale(colours: str) -> bytes:
    """Return a colour map as a PNG, low values on the left."""
    shades = colormaps[colours](np.linspace(0, 1, SHADES)[None])[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(np.rint(shades * 255).astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def outline(mask: NDArray[np.bool_]) -> str:
    """Return the border of a mask (rows, columns) as an SVG path along the edges of its pixels.

    >>> outline(np.array([[False, True, True]]))
    'M1 0H3M1 1H3M1 0V1M3 0V1'
    """
    padded = np.pad(mask, 1)
    across = [f"M{start} {row}H{end}" for row, start, end in _runs(padded[1:, 1:-1] != padded[:-1, 1:-1])]
    down = [
        f"M{column} {start}V{end}" for column, start, end in _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T)
    ]
    return "".join(across + down)


def _runs(lines: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return (line, start, end) of each run of True along the second axis."""
    changes = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(changes == 1), np.argwhere(changes == -1)
    return [(int(line), int(start), int(end)) for (line, start), (_, end) in zip(starts, ends, strict=True)]


def _tile(slices: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, height, width = slices.shape
    rows = -(-count // COLUMNS)
    full = np.zeros((rows * COLUMNS, height, width), np.uint8)
    full[:count] = slices
    return full.reshape(rows, COLUMNS, height, width).swapaxes(1, 2).reshape(rows * height, COLUMNS * width)
