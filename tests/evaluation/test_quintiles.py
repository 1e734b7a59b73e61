from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.detection import auroc
from scripts.evaluation.quintiles import score_by_quintile
from tests.evaluation.cohort import make_cohort

COHORT = make_cohort()


def test_groups_are_those_of_a_sorted_list():
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=50), np.tile([0, 1], 25)
    doubt = generator.permutation(50) / 10
    rows = score_by_quintile(scores, labels, doubt)
    order = sorted(range(50), key=lambda index: doubt[index])
    for number, row in enumerate(rows):
        group = order[10 * number : 10 * number + 10]
        normal = [scores[index] for index in group if labels[index] == 0]
        abnormal = [scores[index] for index in group if labels[index] == 1]
        assert row["quintile"] == number + 1
        assert (row["uncertainty_low"], row["uncertainty_high"]) == (doubt[group[0]], doubt[group[-1]])
        assert (row["slices_normal"], row["slices_abnormal"]) == (len(normal), len(abnormal))
        assert row["score_normal"] == pytest.approx(np.mean(normal))
        assert row["score_abnormal"] == pytest.approx(np.mean(abnormal))
        assert row["auroc"] == auroc(scores[group], labels[group])
        assert row["undefined"] == ""


def test_order_and_increasing_transforms_of_the_uncertainty_change_no_group():
    rows = score_by_quintile(COHORT.scores, COHORT.labels, COHORT.uncertainty)
    moved = COHORT.permuted(3)
    again = score_by_quintile(moved.scores, moved.labels, np.exp(moved.uncertainty))
    for one, other in zip(rows, again, strict=True):
        for name in ("slices_normal", "slices_abnormal", "score_normal", "score_abnormal", "auroc"):
            assert one[name] == pytest.approx(other[name])
    assert sum(row["slices_normal"] + row["slices_abnormal"] for row in rows) == len(COHORT.scores)


def test_equal_uncertainty_is_one_group_and_a_missing_class_is_null():
    (row,) = score_by_quintile([1, 2], [0, 0], [3, 3])
    assert row["score_normal"] == 1.5
    assert row["score_abnormal"] is row["auroc"] is None
    assert row["undefined"] == "no abnormal slice among 2"
    assert score_by_quintile([], [], []) == []


def test_an_uncertainty_per_score_is_demanded():
    with pytest.raises(InputError, match="got 2 scores and 1 uncertainties"):
        score_by_quintile([1, 2], [0, 1], [1])
