"""Confidence intervals that resample patients, because slices of one patient are not independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.checks import check_fraction

FEWEST_PATIENTS = 5
"""Resamples of fewer patients are too few different ones (of two patients: three) to be an interval."""

Statistic = Callable[[NDArray[np.intp]], float | None]


def resample_patients(patients: ArrayLike, samples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield ``samples`` index arrays; each holds all rows of as many patients, drawn with replacement.

    Args:
        patients: (N,) patient id of each row.
        samples: number of resamples.
        seed: seed of the generator; the draws depend on it and on the set of ids, not on the row order.

    Yields:
        Indices into the rows; a patient drawn twice has its rows in it twice.
    """
    _, codes, sizes = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    generator = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.concatenate([rows[patient] for patient in generator.integers(len(rows), size=len(rows))])


def patient_bootstrap(
    statistic: Statistic,
    patients: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """Percentile interval of a statistic over resampled patients.

    Args:
        statistic: gets an array of row indices and returns a number, or None where it is undefined
            (a resample without one of the classes). Undefined resamples are dropped.
        patients: (N,) patient id of each row.
        samples: number of resamples.
        seed: seed of the draws.
        confidence: share of the resamples between the two ends, in (0, 1).

    Returns:
        (low, high), or None with fewer than :data:`FEWEST_PATIENTS` patients, or where fewer than half
        of the resamples are defined: no honest interval exists there.

    Raises:
        InputError: ``confidence`` or ``samples`` out of range, or a statistic that is NaN or infinite.
    """
    check_fraction(confidence, "confidence")
    if samples < 1:
        raise InputError(f"Expected at least 1 bootstrap sample, got {samples}.")
    if np.unique(np.asarray(patients)).size < FEWEST_PATIENTS:
        return None
    results = [statistic(rows) for rows in resample_patients(patients, samples, seed)]
    defined = np.array([value for value in results if value is not None], dtype=np.float64)
    if not np.isfinite(defined).all():
        raise InputError("Expected the statistic to be a finite number or None, got NaN or infinity.")
    if 2 * defined.size < samples:
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
