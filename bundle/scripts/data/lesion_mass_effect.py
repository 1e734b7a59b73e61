"""The mass effect of a synthetic lesion: tissue pushed away from its centre."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

from scripts.data.lesion_shapes import FloatArray, LesionShape, offsets_from

REACH = 2.0
"""Tissue further from the centre than this many radii stays where it is."""
FIRM = 8.0
"""Depth in the head from which on tissue yields in full, pixels; its surface stays where it is."""


def push_away(image: FloatArray, head: FloatArray, shape: LesionShape, strength: float) -> FloatArray:
    """Return a slice whose tissue has moved away from a lesion's centre.

    Args:
        image: (C, X, Y).
        head: (X, Y) depth in the head, pixels.
        shape: of the lesion.
        strength: displacement near the centre in parts of the distance from it, in [0, 1).

    Returns:
        (C, X, Y), linearly interpolated.
    """
    if not strength:
        return image
    offsets = offsets_from(shape.centre, head.shape)
    squared = (offsets**2).sum(axis=0) / (REACH * shape.radius) ** 2
    pull = strength * np.clip(1 - squared, 0, 1) ** 2 * np.clip(head / FIRM, 0, 1)
    sources = np.indices(head.shape, np.float32) - pull * offsets
    return np.stack([map_coordinates(channel, sources, order=1, mode="nearest") for channel in image])
