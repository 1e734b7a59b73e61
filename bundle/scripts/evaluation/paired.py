"""What one model has more than another on the same slices, over the same resampled patients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import FloatArray

Metric = Callable[[FloatArray, NDArray[np.intp]], float | None]
"""From scores of some slices and the rows they are of to a figure, None where it is undefined."""


def mean_over_seeds(metric: Metric, scores: ArrayLike) -> Statistic:
    """Return the statistic "mean figure of S trainings".

    Args:
        metric: gets scores (n,) of the rows (n,), returns the figure or None.
        scores: (S, N) of S trainings on the same N slices.
    """
    trainings = np.asarray(scores, dtype=np.float64)

    def statistic(rows: NDArray[np.intp]) -> float | None:
        figures = [metric(one[rows], rows) for one in trainings]
        known = [figure for figure in figures if figure is not None]
        return float(np.mean(known)) if len(known) == len(figures) else None

    return statistic


def mean_difference(metric: Metric, scores: ArrayLike, reference: ArrayLike) -> Statistic:
    """Return the statistic "mean over S pairs of trainings of the figure's difference to the reference".

    Both sides meet the same rows, so what makes a patient hard for both cancels; identical scores give 0.

    Args:
        metric: gets scores (n,) of the rows (n,), returns the figure or None.
        scores: (S, N) of S trainings on the same N slices.
        reference: (S, N), the training of the same seed to compare each with.

    Raises:
        InputError: shapes differ.
    """
    ours, theirs = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if ours.ndim != 2 or ours.shape != theirs.shape:
        raise InputError(
            f"Expected scores and reference of the same trainings and slices, got {ours.shape} and "
            f"{theirs.shape}; leave out what only one of them has."
        )

    def statistic(rows: NDArray[np.intp]) -> float | None:
        differences = []
        for one, other in zip(ours, theirs, strict=True):
            first, second = metric(one[rows], rows), metric(other[rows], rows)
            if first is None or second is None:
                return None
            differences.append(first - second)
        return float(np.mean(differences))

    return statistic
