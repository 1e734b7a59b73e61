"""Dice of the marked pixels at one threshold, that of the validation slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.evaluation.checks import FloatArray
from scripts.evaluation.pixel_counts import check_maps


@dataclass(frozen=True)
class Overlap:
    """Foreground pixels of each patient: marked and lesion, marked only, lesion only; (P,) each."""

    patients: NDArray
    found: FloatArray
    false: FloatArray
    missed: FloatArray

    def dice(self, rows: ArrayLike | None = None) -> float | None:
        """Return 2 found / (2 found + false + missed) over the patients ``rows`` together.

        None where they have no lesion pixel: a Dice of 0 or 1 would only say whether anything was marked.

        Args:
            rows: patients by index, repeats allowed; None takes all.
        """
        chosen = slice(None) if rows is None else np.asarray(rows)
        found, false, missed = (float(count[chosen].sum()) for count in (self.found, self.false, self.missed))
        return 2 * found / (2 * found + false + missed) if found + missed else None


def count_overlap(
    maps: ArrayLike, masks: ArrayLike, foreground: ArrayLike, patients: ArrayLike, threshold: float
) -> Overlap:
    """Mark the foreground pixels above ``threshold`` and compare them with the lesions.

    Args:
        maps: (N, X, Y), higher is more abnormal.
        masks: (N, X, Y), nonzero in a lesion.
        foreground: (N, X, Y), nonzero where a pixel counts.
        patients: (N,) patient of each slice.
        threshold: a pixel is marked when its value is strictly above it.

    Raises:
        InputError: shapes differ, no foreground, or a foreground pixel of the maps is not finite.
    """
    values, lesion, inside = check_maps(maps, masks, foreground)
    marked, lesion = (values > threshold) & inside, lesion & inside
    names, codes = np.unique(np.asarray(patients), return_inverse=True)

    def tally(pixels: NDArray[np.bool_]) -> FloatArray:
        counts = np.bincount(codes, weights=pixels.sum(axis=(1, 2)), minlength=len(names))
        return counts.astype(np.float64)

    return Overlap(names, tally(marked & lesion), tally(marked & ~lesion), tally(~marked & lesion))
