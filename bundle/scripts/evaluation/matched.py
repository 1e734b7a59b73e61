"""Position-matched AUROC: abnormal slices against normal slices of the same level only.

Tumours sit in the middle of the head and lesion-free slices at its ends, so a plain AUROC rewards a
score that knows only where a slice lies. Pairs of equal level take that away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scripts.errors import InputError
from scripts.evaluation.checks import IntArray, check_finite, check_labelled

ROUNDING = 1e-6  # levels are quotients: 0.3 - 0.25 may exceed 0.05 in floating point


def matched_auroc(
    scores: ArrayLike, labels: ArrayLike, levels: ArrayLike, tolerance: float = 0.05
) -> float | None:
    """Chance that an abnormal slice scores higher than a normal slice of the same level.

    Every (abnormal, normal) pair whose levels differ by at most ``tolerance`` counts once, ties half,
    whichever patients they come from. Time O(n log n), memory O(n).

    Args:
        scores: (N,) finite, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        levels: (N,) position along the brain's extent, 0 to 1.
        tolerance: largest difference of level within a pair, the border included.

    Returns:
        A number in [0, 1], or None where no pair exists.

    Raises:
        InputError: lengths differ, a value is not finite, or a label is neither 0 nor 1.

    >>> matched_auroc([3, 1, 9], [1, 0, 0], [0.50, 0.55, 0.90])
    1.0
    """
    values, classes = check_labelled(scores, labels)
    places = check_finite(levels, "levels")
    if places.shape != values.shape:
        raise InputError(f"Expected one level per score, got {values.size} scores and {places.size} levels.")
    abnormal = classes == 1
    normal = np.flatnonzero(~abnormal)
    normal = normal[np.argsort(places[normal], kind="stable")]
    first = np.searchsorted(places[normal], places[abnormal] - tolerance - ROUNDING, side="left")
    stop = np.searchsorted(places[normal], places[abnormal] + tolerance + ROUNDING, side="right")
    pairs = int((stop - first).sum())
    if pairs == 0:
        return None
    ranked = np.sort(values[normal])
    ranks = np.searchsorted(ranked, values[normal], side="left")
    lower = count_below(ranks, first, stop, np.searchsorted(ranked, values[abnormal], side="left"))
    not_higher = count_below(ranks, first, stop, np.searchsorted(ranked, values[abnormal], side="right"))
    return float((lower.sum() + not_higher.sum()) / (2 * pairs))


def count_below(ranks: IntArray, first: IntArray, stop: IntArray, bound: IntArray) -> IntArray:
    """Count, for each query, the entries of a stretch of ``ranks`` that are below a bound.

    A wavelet matrix, walked for all queries at once: the entries are split by their bits, highest first,
    and a stretch of the array stays a stretch within its half.

    Args:
        ranks: (M,) integers from 0 to M - 1.
        first: (Q,) begin of each stretch.
        stop: (Q,) end of each stretch, itself excluded.
        bound: (Q,) integers from 0 to M.

    Returns:
        (Q,) the number of k with first <= k < stop and ranks[k] < bound.
    """
    count = np.zeros(len(bound), dtype=np.int64)
    for bit in reversed(range(len(ranks).bit_length())):
        is_zero = (ranks >> bit) & 1 == 0
        zeros_before = np.concatenate([[0], np.cumsum(is_zero)])
        first_zero, stop_zero = zeros_before[first], zeros_before[stop]
        bound_is_one = (bound >> bit) & 1 == 1
        count += np.where(bound_is_one, stop_zero - first_zero, 0)
        first = np.where(bound_is_one, zeros_before[-1] + first - first_zero, first_zero)
        stop = np.where(bound_is_one, zeros_before[-1] + stop - stop_zero, stop_zero)
        ranks = np.concatenate([ranks[is_zero], ranks[~is_zero]])
    return count
