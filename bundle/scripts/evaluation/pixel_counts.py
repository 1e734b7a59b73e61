"""Pixels counted by patient and by value of the map: what every pixel-level figure is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label as label_components

from scripts.errors import InputError
from scripts.evaluation.checks import FloatArray

CORNERS_TOUCH = np.ones((3, 3), dtype=int)
"""Two pixels that share a corner belong to one lesion region, as in the MVTec evaluation."""


@dataclass(frozen=True)
class PixelCounts:
    """Foreground pixels in bins of falling map value, patient by patient.

    Sums over patients give the counts of any resample without sorting the pixels again.
    """

    patients: NDArray
    """(P,) ids."""
    lesion: FloatArray
    """(P, T) lesion pixels in each bin."""
    normal: FloatArray
    """(P, T) other foreground pixels in each bin."""
    regions: FloatArray
    """(P, T) sum over lesion regions (connected in a slice) of the share of their pixels in each bin."""

    def cumulative(self, rows: ArrayLike | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return lesion, normal and region counts (T,) at or above each bin, of the patients ``rows``."""
        chosen = np.arange(len(self.patients)) if rows is None else np.asarray(rows)
        times = np.bincount(chosen, minlength=len(self.patients)).astype(np.float64)
        return (
            np.cumsum(times @ self.lesion),
            np.cumsum(times @ self.normal),
            np.cumsum(times @ self.regions),
        )


def count_pixels(
    maps: ArrayLike,
    masks: ArrayLike,
    foreground: ArrayLike,
    patients: ArrayLike | None = None,
    bins: int | None = None,
) -> PixelCounts:
    """Count the foreground pixels of all slices.

    Args:
        maps: (N, X, Y), higher is more abnormal.
        masks: (N, X, Y), nonzero in a lesion.
        foreground: (N, X, Y), nonzero where a pixel counts.
        patients: (N,) patient of each slice; None takes all as one, whose bins hold one value each.
        bins: how many bins all pixels are cut into, of about as many pixels each, and again the lesion
            pixels, which may be few; None gives every value a bin of its own, which makes the figures exact.

    Raises:
        InputError: shapes differ, no foreground, or a foreground pixel of the maps is not finite.
    """
    values, lesion, inside = check_maps(maps, masks, foreground)
    people = np.zeros(len(values), dtype=np.int64) if patients is None else np.asarray(patients)
    names, codes = np.unique(people, return_inverse=True)
    where = np.broadcast_to(codes[:, None, None], values.shape)[inside]
    is_lesion = lesion[inside]
    positions, count = _bin_positions(values[inside], is_lesion, bins)
    cells = where * count + positions

    def tally(weights: NDArray) -> FloatArray:
        counts = np.bincount(cells, weights=weights.astype(np.float64), minlength=len(names) * count)
        return counts.astype(np.float64).reshape(len(names), count)

    shares = region_shares(lesion & inside)[inside]
    return PixelCounts(names, tally(is_lesion), tally(~is_lesion), tally(shares))


def check_maps(
    maps: ArrayLike, masks: ArrayLike, foreground: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return maps as float32, lesions and foreground as booleans, all (N, X, Y).

    Raises:
        InputError: shapes differ, slices without foreground, or a foreground pixel that is not finite.
    """
    values, lesion = np.asarray(maps, dtype=np.float32), np.asarray(masks) != 0
    inside = np.asarray(foreground) != 0
    if not values.shape == lesion.shape == inside.shape or values.ndim != 3:
        raise InputError(
            f"Expected maps, masks and foreground of one shape (N, X, Y), got {values.shape}, "
            f"{lesion.shape} and {inside.shape}."
        )
    if len(values) and not inside.any():
        raise InputError(
            f"Expected some foreground in {inside.shape} pixels, got none; check the foreground."
        )
    if not np.isfinite(values[inside]).all():
        raise InputError("Expected finite map values in the foreground, got NaN or infinity; check the maps.")
    return values, lesion, inside


def region_shares(masks: ArrayLike) -> FloatArray:
    """Return for each lesion pixel 1 / (pixels of its region in the slice), 0 elsewhere; (N, X, Y)."""
    shares = np.zeros(np.shape(masks))
    for index, mask in enumerate(np.asarray(masks)):
        regions, count = label_components(mask, structure=CORNERS_TOUCH)
        if count:
            sizes = np.bincount(regions.ravel())
            shares[index] = np.where(regions > 0, 1 / sizes[regions], 0)
    return shares


def _bin_positions(
    values: NDArray[np.float32], is_lesion: NDArray[np.bool_], bins: int | None
) -> tuple[NDArray[np.intp], int]:
    """Return the bin of each value, 0 holding the highest, and the number of bins."""
    if bins is None:
        edges, positions = np.unique(values, return_inverse=True)
        return len(edges) - 1 - positions, len(edges)
    shares = np.arange(1, bins) / bins
    groups = [group for group in (values, values[is_lesion]) if group.size]
    edges = np.unique(np.concatenate([np.quantile(group, shares) for group in groups]))
    return len(edges) - np.searchsorted(edges, values, side="right"), len(edges) + 1
