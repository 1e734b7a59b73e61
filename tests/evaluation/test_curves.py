from __future__ import annotations

import numpy as np
import pytest

from scripts.evaluation.curves import GRID, banded_curve, precision_values, roc_values
from scripts.evaluation.detection import auroc, average_precision
from tests.evaluation.cohort import make_cohort

COHORT = make_cohort(patients=12, slices=60)


def test_areas_are_those_of_the_metrics():
    scores, labels = COHORT[:2]
    assert np.trapezoid(roc_values(scores, labels), GRID) == pytest.approx(auroc(scores, labels), abs=0.01)
    expected = average_precision(scores, labels, balanced=True)
    assert precision_values(scores, labels)[1:].mean() == pytest.approx(expected, abs=0.01)


def test_places_on_the_curves_are_those_of_a_loop_over_thresholds():
    scores, labels = np.array([1, 2, 3, 4, 5, 6.0]), np.array([0, 1, 0, 0, 1, 1])
    true = roc_values(scores, labels)
    assert true[0] == pytest.approx(2 / 3)  # 5 and 6 before the first false alarm
    assert true[-1] == 1
    precision = precision_values(scores, labels)
    for recall, value in zip(GRID, precision, strict=True):
        reached = [t for t in scores if (scores[labels == 1] >= t).mean() >= recall - 1e-9]
        threshold = max(t for t in reached if (scores[labels == 1] >= t).any())
        hit, false = ((scores[labels == side] >= threshold).mean() for side in (1, 0))
        assert value == pytest.approx(hit / (hit + false))


@pytest.mark.parametrize("curve", [roc_values, precision_values])
def test_band_holds_the_curve_and_order_changes_nothing(curve):
    scores, labels, _, _, patients, _ = COHORT
    banded = banded_curve(curve, scores, labels, patients, samples=100)
    assert (banded.low <= banded.high).all()
    assert ((banded.low <= banded.values) & (banded.values <= banded.high)).mean() > 0.9
    moved = COHORT.permuted(1)
    again = banded_curve(curve, moved.scores, moved.labels, moved.patients, samples=100)
    assert again.low == pytest.approx(banded.low)
    assert again.values == pytest.approx(banded.values)


def test_few_patients_have_no_band_and_one_class_no_curve():
    scores, labels = COHORT[:2]
    few = banded_curve(roc_values, scores, labels, np.zeros(len(scores)), samples=10)
    assert few.low is few.high is None
    with_lesion = np.isin(COHORT.patients, np.unique(COHORT.patients)[:4])
    kept = with_lesion | (labels == 0)
    one_side = banded_curve(roc_values, scores[kept], labels[kept], COHORT.patients[kept], samples=10)
    assert np.unique(COHORT.patients[kept]).size >= 5
    assert one_side.low is one_side.high is None
    assert banded_curve(roc_values, scores, 0 * labels, COHORT.patients, samples=10) is None
