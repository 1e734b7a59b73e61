"""What lesion-free slices score at each level of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scripts.errors import InputError
from scripts.evaluation.checks import check_finite

BANDS = 10


@dataclass(frozen=True)
class LevelBand:
    """Slice scores of normal slices in one tenth of the brain's extent; None where there is no slice."""

    low: float
    """Lowest level, included."""
    high: float
    """Highest level, excluded (included in the last band)."""
    slices: int
    """Normal slices in the band."""
    percentile_5: float | None
    median: float | None
    percentile_95: float | None


def normal_range(slice_scores: ArrayLike, levels: ArrayLike) -> tuple[LevelBand, ...]:
    """Return the 5 %, 50 % and 95 % quantiles of normal slice scores in ten equal bands of level.

    Args:
        slice_scores: (N,) finite.
        levels: (N,) 0 to 1.

    Raises:
        InputError: a value is not finite, or a level is outside [0, 1].
    """
    values, places = check_finite(slice_scores, "slice scores"), check_finite(levels, "levels")
    outside = places[(places < 0) | (places > 1)]
    if outside.size:
        raise InputError(f"Expected levels from 0 to 1, got {outside[0]}.")
    edges = [band / BANDS for band in range(BANDS + 1)]
    band_of = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, BANDS - 1)
    return tuple(_level_band(edges[band], edges[band + 1], values[band_of == band]) for band in range(BANDS))


def _level_band(low: float, high: float, values: np.ndarray) -> LevelBand:
    if values.size == 0:
        return LevelBand(low, high, 0, None, None, None)
    lower, middle, upper = (float(value) for value in np.quantile(values, (0.05, 0.5, 0.95)))
    return LevelBand(low, high, values.size, lower, middle, upper)
