"""ROC and precision-recall curves with bands that resample patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve, roc_curve

from scripts.evaluation.bootstrap import FEWEST_PATIENTS, resample_patients
from scripts.evaluation.checks import FloatArray, IntArray, check_labelled
from scripts.evaluation.detection import undefined_reason

GRID: FloatArray = np.linspace(0, 1, 101)
"""Places along the horizontal axis."""

Curve = Callable[[FloatArray, IntArray], FloatArray]


@dataclass(frozen=True)
class BandedCurve:
    """A curve over :data:`GRID`, (101,) each; the band is None with fewer than five patients of a class."""

    values: FloatArray
    low: FloatArray | None
    high: FloatArray | None


def roc_values(scores: ArrayLike, labels: ArrayLike) -> FloatArray:
    """Return the true positive rate (101,) at false positive rates of :data:`GRID`, linear in between."""
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    # At a step the upper end counts, as the curve is drawn; at rate 0 what is found without false alarm.
    last = np.append(np.diff(false) > 0, True)
    return np.interp(GRID, false[last], true[last])


def precision_values(scores: ArrayLike, labels: ArrayLike) -> FloatArray:
    """Return the precision (101,) where recall reaches :data:`GRID`, both classes weighing the same."""
    classes = np.asarray(labels)
    weights = (0.5 / np.bincount(classes, minlength=2))[classes]
    precision, recall, _ = precision_recall_curve(classes, scores, sample_weight=weights)
    # Rising recall, without sklearn's closing point of precision 1 at recall 0, which no threshold has.
    precision, recall = precision[-2::-1], recall[-2::-1]
    return precision[np.searchsorted(recall, GRID - 1e-9, side="left")]


def banded_curve(
    curve: Curve,
    scores: ArrayLike,
    labels: ArrayLike,
    patients: ArrayLike,
    samples: int = 1000,
    seed: int = 0,
) -> BandedCurve | None:
    """Return a curve with its pointwise 95 % band over resampled patients; None where a class is missing.

    Args:
        curve: :func:`roc_values` or :func:`precision_values`.
        scores: (N,) finite, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        patients: (N,) patient of each slice.
        samples: resamples of the patients; those without one of the classes are left out.
        seed: seed of the draws.
    """
    values, classes = check_labelled(scores, labels)
    if undefined_reason(classes):
        return None
    middle = curve(values, classes)
    people = np.asarray(patients)
    if min(np.unique(people[classes == side]).size for side in (0, 1)) < FEWEST_PATIENTS:
        return BandedCurve(middle, None, None)
    drawn = [
        curve(values[rows], classes[rows])
        for rows in resample_patients(people, samples, seed)
        if not undefined_reason(classes[rows])
    ]
    if 2 * len(drawn) < samples:
        return BandedCurve(middle, None, None)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return BandedCurve(middle, low, high)
