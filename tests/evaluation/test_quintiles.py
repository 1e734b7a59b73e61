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
    scores, labels = generator.normal(size=150), np.tile([0, 1], 75)
    doubt = generator.permutation(150) / 10
    rows = score_by_quintile(scores, labels, doubt, np.repeat(np.arange(75), 2), bootstrap_samples=30)
    order = sorted(range(150), key=lambda index: doubt[index])
    for number, row in enumerate(rows):
        group = order[30 * number : 30 * number + 30]
        normal = [scores[index] for index in group if labels[index] == 0]
        abnormal = [scores[index] for index in group if labels[index] == 1]
        assert row["quintile"] == number + 1
        assert (row["uncertainty_low"], row["uncertainty_high"]) == (doubt[group[0]], doubt[group[-1]])
        assert (row["slices_normal"], row["slices_abnormal"]) == (len(normal), len(abnormal))
        assert row["score_normal"] == pytest.approx(np.mean(normal))
        assert row["score_abnormal"] == pytest.approx(np.mean(abnormal))
        assert row["auroc"] == auroc(scores[group], labels[group])
        for name in ("score_normal", "score_abnormal", "auroc"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        assert row["undefined"] == ""


def test_order_and_increasing_transforms_of_the_uncertainty_change_no_group():
    moved = COHORT.permuted(3)
    rows, again = (
        score_by_quintile(one.scores, one.labels, doubt, one.patients, bootstrap_samples=30)
        for one, doubt in ((COHORT, COHORT.uncertainty), (moved, np.exp(moved.uncertainty)))
    )
    for one, other in zip(rows, again, strict=True):
        kept = {name: value for name, value in one.items() if not name.startswith("uncertainty")}
        assert kept == pytest.approx({name: other[name] for name in kept})
    assert sum(row["slices_normal"] + row["slices_abnormal"] for row in rows) == len(COHORT.scores)


def test_equal_uncertainty_is_one_group_and_a_missing_class_is_null():
    (row,) = score_by_quintile([1, 2], [0, 0], [3, 3], ["a", "b"])
    assert row["score_normal"] == 1.5
    assert row["score_abnormal"] is row["auroc"] is None
    assert "score_abnormal, auroc: no abnormal slice among 2" in row["undefined"]
    assert row["score_normal_low"] is None  # of two patients
    assert score_by_quintile([], [], [], []) == []


def test_an_uncertainty_per_score_is_demanded():
    with pytest.raises(InputError, match="got 2 scores, 1 uncertainties and 2 patients"):
        score_by_quintile([1, 2], [0, 1], [1], ["a", "b"])
