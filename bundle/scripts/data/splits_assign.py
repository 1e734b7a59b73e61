"""How many patients each part of a split gets, and which ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from scripts.errors import InputError
from scripts.io.split_file import PARTS


def assign_patients(patients: Iterable[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Return the part of each patient; it depends on the set of patients and the seed, not on order.

    Counts are by largest remainder, with at least one patient in each part whose fraction is not 0.

    Args:
        patients: Patients; repetitions count once.
        fractions: Share of the patients for training, validation and test; each 0 to 1, sum 1.
        seed: Seed of the shuffle, at least 0.

    Raises:
        InputError: The fractions or the seed are no such numbers, or there are too few patients.
    """
    shares = _check_fractions(fractions)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"Expected a whole number of at least 0 as seed of the split, but got {seed!r}.")
    names = sorted(set(patients))
    counts = _raise_to_one(_largest_remainder(len(names), shares), shares)
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    parts = [part for part, count in zip(PARTS, counts, strict=True) for _ in range(count)]
    return dict(zip(shuffled, parts, strict=True))


def _check_fractions(fractions: Sequence[float]) -> list[float]:
    shares = [float(share) for share in fractions]
    valid = len(shares) == len(PARTS) and all(0 <= share <= 1 for share in shares)
    if not valid or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise InputError(
            f"Expected three fractions from 0 to 1 with sum 1 ({', '.join(PARTS)}), but got "
            f"{list(fractions)}."
        )
    return shares


def _largest_remainder(total: int, shares: Sequence[float]) -> list[int]:
    # Rounded, because 0.15 * 20 is a little less than 3 in floating point.
    quotas = [round(total * share, 6) for share in shares]
    counts = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(shares)), key=lambda part: counts[part] - quotas[part])
    for part in by_remainder[: total - sum(counts)]:
        counts[part] += 1
    return counts


def _raise_to_one(counts: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Give each part with a share one patient at least, taken from the largest."""
    wanted = [part for part, share in zip(PARTS, shares, strict=True) if share > 0]
    if sum(counts) < len(wanted):
        raise InputError(
            f"Expected at least {len(wanted)} patients, one each for {', '.join(wanted)}, but got "
            f"{sum(counts)}; add scans or set fractions to 0."
        )
    counts = list(counts)
    for part, share in enumerate(shares):
        if share > 0 and counts[part] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[part] = 1
    return counts
