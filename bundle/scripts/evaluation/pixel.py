"""How well a map marks lesion pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score

from scripts.errors import InputError


class PixelPrecision(NamedTuple):
    """Average precision over pixels and the value that chance would reach."""

    average_precision: float | None
    """In (0, 1], or None where no foreground pixel is a lesion."""
    prevalence: float
    """Share of lesion pixels in the foreground; what a map without information scores."""


def pixel_average_precision(maps: ArrayLike, masks: ArrayLike, foreground: ArrayLike) -> PixelPrecision:
    """Average precision over all foreground pixels of all slices together, none left out.

    Args:
        maps: (N, X, Y) or any one shape; higher is more abnormal.
        masks: same shape, nonzero in a lesion.
        foreground: same shape, nonzero where a pixel counts.

    Returns:
        The average precision and the share of lesion pixels.

    Raises:
        InputError: shapes differ, no foreground, or a foreground pixel of the maps is not finite.
    """
    values, lesion, inside = np.asarray(maps), np.asarray(masks), np.asarray(foreground).astype(bool)
    if not values.shape == lesion.shape == inside.shape:
        raise InputError(
            f"Expected maps, masks and foreground of one shape, got {values.shape}, {lesion.shape} "
            f"and {inside.shape}."
        )
    if not inside.any():
        raise InputError(
            f"Expected some foreground in {inside.shape} pixels, got none; check the foreground."
        )
    values = values[inside].astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise InputError("Expected finite map values in the foreground, got NaN or infinity; check the maps.")
    is_lesion = lesion[inside] != 0
    if not is_lesion.any():
        return PixelPrecision(None, 0.0)
    return PixelPrecision(float(average_precision_score(is_lesion, values)), float(is_lesion.mean()))
