from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.detection import auroc
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.risk_coverage import risk_coverage
from tests.evaluation.cohort import make_cohort

COHORT = make_cohort()


def measure(cohort, threshold=0.5, **options):
    return risk_coverage(*cohort[:5], threshold, bootstrap_samples=30, **options)


def test_rows_are_the_metrics_of_the_most_certain_slices():
    scores, labels, levels, doubt, _, _ = COHORT
    for row in measure(COHORT):
        last = sorted(doubt)[int(np.ceil(row["coverage"] * len(doubt))) - 1]
        kept = np.array([value <= last for value in doubt])
        assert row["slices_normal"] + row["slices_abnormal"] == kept.sum()
        assert row["auroc"] == auroc(scores[kept], labels[kept])
        matched = matched_auroc(scores[kept], labels[kept], levels[kept])
        assert row["auroc_matched"] == matched
        assert row["gain_matched"] == pytest.approx(matched - matched_auroc(scores, labels, levels))
        wrong = [
            np.mean([(score > 0.5) != label for score, label in zip(scores[kept], labels[kept], strict=True)
                     if label == side])
            for side in (0, 1)
        ]  # fmt: skip
        assert row["risk"] == pytest.approx(np.mean(wrong))
        for name in ("auroc", "auroc_matched", "risk", "gain_matched"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]


def test_keeping_everything_gains_nothing_and_refusing_noise_does():
    first, *_, last = measure(COHORT)
    assert first["gain_matched"] == first["gain_matched_low"] == first["gain_matched_high"] == 0
    assert last["gain_matched"] > 0  # uncertain slices of the cohort are noisier by construction


def test_permuting_slices_changes_nothing():
    for one, other in zip(measure(COHORT), measure(COHORT.permuted(2)), strict=True):
        assert one == pytest.approx(other)


def test_what_is_missing_is_null_with_its_reason():
    normal = COHORT._replace(labels=0 * COHORT.labels)
    row = measure(normal, threshold=None)[0]
    assert row["auroc"] is row["auroc_matched"] is row["risk"] is row["gain_matched"] is None
    assert "risk: no threshold from validation slices" in row["undefined"]
    assert "auroc_matched, gain_matched: no pair of one level is kept" in row["undefined"]


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match=r"coverage in \(0, 1\], got 0"):
        measure(COHORT, coverages=[0])
    with pytest.raises(InputError, match="1 uncertainties"):
        measure(COHORT._replace(uncertainty=np.ones(1)))
