"""What it costs to find nearly all abnormal slices: the alarms on normal ones at a given sensitivity."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import check_fraction, check_labelled
from scripts.evaluation.detection import undefined_reason

SENSITIVITY = 0.95
"""Share of the abnormal slices that have to be found."""


def threshold_at_sensitivity(abnormal: ArrayLike, sensitivity: float = SENSITIVITY) -> float:
    """Return the highest threshold that alarms (value at or above it) on enough abnormal slices.

    Args:
        abnormal: (N,) scores of abnormal slices, at least one.
        sensitivity: share of them to find, in (0, 1).

    >>> threshold_at_sensitivity([1, 2, 3, 4], 0.75)
    2.0
    """
    check_fraction(sensitivity, "sensitivity")
    values = np.sort(np.asarray(abnormal, dtype=np.float64))
    missed = int((1 - sensitivity) * values.size + 1e-9)  # (1 - 0.9) * 10 is just below 1
    return float(values[missed])


def false_alarm_rate(scores: ArrayLike, labels: ArrayLike, sensitivity: float = SENSITIVITY) -> float | None:
    """Share of the normal slices that score at or above :func:`threshold_at_sensitivity`.

    Args:
        scores: (N,) finite, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        sensitivity: share of abnormal slices to find, in (0, 1).

    Returns:
        A number in [0, 1], or None where a class is missing.

    Raises:
        InputError: lengths differ, a score is not finite, a label is neither 0 nor 1, or ``sensitivity``
            is out of range.

    >>> false_alarm_rate([1, 2, 3, 4], [0, 0, 1, 1])
    0.0
    """
    values, classes = check_labelled(scores, labels)
    check_fraction(sensitivity, "sensitivity")
    if undefined_reason(classes):
        return None
    threshold = threshold_at_sensitivity(values[classes == 1], sensitivity)
    return float((values[classes == 0] >= threshold).mean())
