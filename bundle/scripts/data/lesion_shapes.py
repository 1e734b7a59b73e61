"""Where a synthetic lesion lies and how far it reaches: an ellipse with a rough border."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, distance_transform_edt, zoom

from scripts.data.lesion_ranges import Range

FloatArray = NDArray[np.float32]

ELONGATION = 0.6
"""Largest logarithm of the ratio of the axes."""
ROUGHNESS = {5: 0.15, 12: 0.08}
"""Cells across the field of view of each smooth noise, and its weight in the logarithm of the radius."""


@dataclass(frozen=True)
class LesionShape:
    """One lesion's place and border.

    Attributes:
        centre: row and column, (2,).
        radius: mean radius, pixels.
        depth: (X, Y) distance from the border in pixels, about; positive inside.
    """

    centre: NDArray[np.int64]
    radius: float
    depth: FloatArray


def head_depth(foreground: NDArray[np.bool_]) -> FloatArray:
    """Return the distance of every pixel of the filled head (X, Y) from its surface, pixels; 0 outside."""
    # A frame of background: the edge of the field of view is a surface too.
    filled = np.pad(binary_fill_holes(foreground), 1)
    return distance_transform_edt(filled)[1:-1, 1:-1].astype(np.float32)


def offsets_from(centre: NDArray[np.int64], shape: tuple[int, ...]) -> FloatArray:
    """Return every pixel's offset from ``centre`` in pixels, (2, X, Y)."""
    return np.indices(shape, np.float32) - centre.reshape(2, 1, 1).astype(np.float32)


def draw_shape(head: FloatArray, radius: Range, margin: Range, random: np.random.RandomState) -> LesionShape:
    """Draw a lesion in a head, as near its surface as the margin lets it.

    Args:
        head: (X, Y) of :func:`head_depth`, positive somewhere.
        radius: smallest and largest mean radius, pixels.
        margin: smallest and largest value of the least distance of the centre from the surface of the head,
            pixels; in a head that is less than twice as deep, half its depth.
        random: source of randomness.
    """
    places = np.argwhere(head > min(random.uniform(*margin), head.max() / 2))
    centre = places[random.randint(len(places))]
    size = float(np.exp(random.uniform(*np.log(radius))))
    stretch = np.exp(random.uniform(-ELONGATION, ELONGATION) / 2)
    angle = random.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    axes = np.diag([stretch, 1 / stretch]) @ turn / size
    distance = np.linalg.norm(np.tensordot(axes, offsets_from(centre, head.shape), axes=1), axis=0)
    for cells, weight in ROUGHNESS.items():
        distance *= np.exp(weight * smooth_noise(head.shape, cells, random))
    return LesionShape(centre, size, ((1 - distance) * size).astype(np.float32))


def smooth_noise(shape: tuple[int, ...], cells: int, random: np.random.RandomState) -> FloatArray:
    """Draw normal noise on a lattice of ``cells`` x ``cells`` and spread it over (X, Y) by cubic splines."""
    lattice = random.standard_normal((cells, cells)).astype(np.float32)
    rows, columns = (_spline(length, cells) for length in shape)
    return (rows @ lattice @ columns.T).astype(np.float32)


@cache
def _spline(length: int, cells: int) -> FloatArray:
    """Return the weights (length, cells) of cubic splines: products are 30 times as fast as zoom."""
    return zoom(np.eye(cells, dtype=np.float32), (length / cells, 1), order=3, mode="nearest")
