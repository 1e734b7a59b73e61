from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.detection import auroc
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.strata import lesion_strata
from tests.evaluation.cohort import make_cohort

COHORT = make_cohort()


def measure(cohort, threshold=0.5, **options):
    scores, labels, levels, _, patients, areas = cohort
    return lesion_strata(scores, labels, levels, areas, patients, threshold, bootstrap_samples=30, **options)


def test_each_stratum_meets_all_normal_slices():
    scores, labels, levels, _, patients, areas = COHORT
    rows = measure(COHORT)
    assert [row["area_low"] for row in rows] == [50, 300, 900, 2500]
    for row in rows:
        member = (labels == 1) & (areas >= row["area_low"]) & (areas < (row["area_high"] or np.inf))
        part = member | (labels == 0)
        assert row["slices_abnormal"] == member.sum()
        assert row["patients"] == len(set(patients[member]))
        assert row["auroc"] == auroc(scores[part], labels[part])
        assert row["auroc_matched"] == matched_auroc(scores[part], labels[part], levels[part])
        assert row["sensitivity"] == np.mean(scores[member] > 0.5)
        for name in ("auroc", "auroc_matched", "sensitivity") if row["patients"] >= 5 else ():
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert sum(row["slices_abnormal"] for row in rows) == labels.sum()
    assert rows[-1]["patients"] >= 5
    assert rows[-1]["auroc"] > rows[0]["auroc"]  # larger lesions of the cohort score higher


def test_a_stratum_of_few_patients_has_no_interval():
    labels, patients = COHORT.labels.copy(), COHORT.patients
    few = np.unique(patients)[4:]
    labels[np.isin(patients, few)] = 0  # normal slices of many patients, abnormal ones of four
    (row,) = measure(COHORT._replace(labels=labels), edges=[0])
    assert row["patients"] == 4
    for name in ("auroc", "auroc_matched", "sensitivity"):
        assert row[name] is not None
        assert row[f"{name}_low"] is row[f"{name}_high"] is None
    assert "auroc interval, auroc_matched interval, sensitivity interval: fewer than 5" in row["undefined"]


def test_one_stratum_of_everything_is_the_plain_metric():
    (row,) = measure(COHORT, edges=[0])
    assert row["auroc"] == auroc(COHORT.scores, COHORT.labels)
    assert row["area_high"] is None


def test_permuting_slices_changes_nothing():
    for one, other in zip(measure(COHORT), measure(COHORT.permuted(5)), strict=True):
        assert one == pytest.approx(other)


def test_an_empty_stratum_is_null_with_its_reason():
    row = measure(COHORT, edges=[50, 5000], threshold=None)[-1]
    assert row["auroc"] is row["sensitivity"] is None
    assert row["undefined"] == "auroc, auroc_matched, sensitivity: no slice of this size"
    row = measure(COHORT, edges=[50], threshold=None)[0]
    assert row["sensitivity"] is None
    assert row["undefined"] == "sensitivity: no threshold from validation slices"


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match=r"rising lesion areas .* got \[300, 50\]"):
        measure(COHORT, edges=[300, 50])
    with pytest.raises(InputError, match="1 areas"):
        measure(COHORT._replace(areas=np.ones(1)))


def test_a_lesion_at_the_edge_is_in_the_stratum_above_it() -> None:
    rows = lesion_strata(
        [1, 2, 3, 0], [1, 1, 1, 0], [0.5] * 4, [50, 300, 900, 0], list("abcd"), 0.5, bootstrap_samples=5
    )
    assert [row["slices_abnormal"] for row in rows] == [1, 1, 1, 0]
