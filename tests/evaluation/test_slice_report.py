from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scripts.errors import InputError
from scripts.evaluation.detection import auroc, average_precision
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.sensitivity import false_alarm_rate
from scripts.evaluation.slice_report import evaluate_slices


def make_facts(normal_patients: int = 0, slices: int = 20, patients: int = 8) -> pd.DataFrame:
    """Tumours in the middle third of every patient but the first ``normal_patients``; one trace slice."""
    rows = []
    for patient in range(patients):
        for position in range(slices):
            level = position / (slices - 1)
            label = int(abs(level - 0.5) < 0.05 + 0.02 * patient) if patient >= normal_patients else 0
            rows.append((f"c{patient}", f"p{patient}", level, label))
    facts = pd.DataFrame(rows, columns=["case", "patient", "level", "label"])
    if normal_patients < patients:
        facts.loc[facts.index[-1], "label"] = -1
    return facts


FACTS = make_facts()
SCORES = {
    "good": np.random.default_rng(0).normal(FACTS["label"].to_numpy() * 2.0),
    "position": -np.abs(FACTS["level"].to_numpy() - 0.5),
}


def test_values_are_those_of_the_metrics_on_known_slices():
    good, position = evaluate_slices(FACTS, SCORES, bootstrap_samples=100)
    known = (FACTS["label"] != -1).to_numpy()
    labels, levels = FACTS["label"].to_numpy()[known], FACTS["level"].to_numpy()[known]
    for row, scores in ((good, SCORES["good"][known]), (position, SCORES["position"][known])):
        assert row["auroc_balanced"] == auroc(scores, labels)
        assert row["ap_balanced"] == average_precision(scores, labels, balanced=True)
        assert row["auroc_matched"] == matched_auroc(scores, labels, levels)
        for metric in ("auroc_balanced", "ap_balanced", "auroc_matched"):
            assert row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"]
    assert good["score"] == "good"
    assert good["patients_test"] == 8
    assert good["slices_normal"] + good["slices_abnormal"] == known.sum() == len(FACTS) - 1
    assert position["auroc_balanced"] > 0.9 > 0.7 > position["auroc_matched"]


def test_without_normal_patients_the_patient_figures_are_null_with_the_reason():
    row = evaluate_slices(FACTS, SCORES, bootstrap_samples=20)[0]
    for metric in ("auroc_patient", "ap_patient"):
        assert row[metric] is row[f"{metric}_low"] is row[f"{metric}_high"] is None
    assert row["false_alarms_per_scan"] is None
    assert row["undefined"] == "auroc_patient, ap_patient, false_alarms_per_scan: no normal patient among 8"


def test_with_normal_patients_they_are_numbers():
    facts = make_facts(normal_patients=5, patients=10)
    scores = facts["label"].to_numpy() + 0.01 * facts["level"].to_numpy()
    row = evaluate_slices(facts, {"oracle": scores}, bootstrap_samples=50)[0]
    assert row["auroc_patient"] == row["ap_patient"] == 1.0
    assert row["auroc_patient_low"] == 1.0
    assert row["false_alarms_per_scan"] == row["false_alarms_per_scan_high"] == 0.0
    assert row["undefined"] == ""


def test_few_patients_of_one_kind_give_no_interval():
    facts = make_facts(normal_patients=4)
    scores = facts["label"].to_numpy() + 0.01 * facts["level"].to_numpy()
    row = evaluate_slices(facts, {"oracle": scores}, bootstrap_samples=50)[0]
    for metric in ("auroc_balanced", "auroc_matched", "auroc_patient", "ap_patient", "false_alarms_per_scan"):
        assert row[metric] is not None
        assert row[f"{metric}_low"] is row[f"{metric}_high"] is None
        assert f"{metric} interval" in row["undefined"]


@pytest.mark.case(41)
def test_one_class_gives_null_and_reason_never_a_half():
    facts = make_facts(normal_patients=8)
    row = evaluate_slices(facts, {"any": np.arange(len(facts))}, bootstrap_samples=20)[0]
    assert row["auroc_balanced"] is row["ap_balanced"] is row["auroc_matched"] is None
    assert (
        "auroc_balanced, ap_balanced, auroc_matched, false_alarm_rate: no abnormal slice among 160"
        in row["undefined"]
    )
    json.dumps(row, allow_nan=False)


def test_unmatched_levels_give_null_and_reason():
    facts = FACTS.assign(level=FACTS["label"].to_numpy().astype(float))
    row = evaluate_slices(facts, {"good": SCORES["good"]}, bootstrap_samples=20)[0]
    assert row["auroc_matched"] is None
    assert row["auroc_balanced"] is not None
    assert "auroc_matched: no normal slice at the level of an abnormal one" in row["undefined"]


def test_a_single_patient_has_values_but_no_interval():
    one = FACTS["patient"] == "p5"
    row = evaluate_slices(FACTS[one], {"good": SCORES["good"][one]}, bootstrap_samples=20)[0]
    assert row["auroc_balanced"] is not None
    assert row["auroc_balanced_low"] is None
    assert "auroc_balanced interval" in row["undefined"]


def test_permuting_slices_changes_nothing():
    order = np.random.default_rng(7).permutation(len(FACTS))
    before = evaluate_slices(FACTS, SCORES, bootstrap_samples=30)
    shuffled = {name: values[order] for name, values in SCORES.items()}
    after = evaluate_slices(FACTS.iloc[order], shuffled, bootstrap_samples=30)
    for first, second in zip(before, after, strict=True):
        assert first == pytest.approx(second, abs=1e-12)


def test_the_seed_decides_the_interval():
    first, again, other = (
        evaluate_slices(FACTS, {"good": SCORES["good"]}, bootstrap_samples=30, seed=seed)[0]
        for seed in (0, 0, 1)
    )
    assert first == again
    assert other["auroc_balanced"] == first["auroc_balanced"]
    assert other["auroc_balanced_low"] != first["auroc_balanced_low"]


@pytest.mark.parametrize(
    ("facts", "scores", "message"),
    [
        (FACTS.drop(columns="level"), SCORES, r"none of \['level'\]"),
        (FACTS.iloc[:0], {"good": np.zeros(0)}, "at least one slice to evaluate"),
        (FACTS, {"good": SCORES["good"][:5]}, "got 5 scores of 'good' and 160 slices"),
        (FACTS, {"good": np.full(160, np.nan)}, "scores of 'good' to be finite"),
        (FACTS.assign(label=2), SCORES, "slice labels -1, 0 or 1, got 2"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(facts, scores, message):
    with pytest.raises(InputError, match=message):
        evaluate_slices(facts, scores)


def test_whole_scans_are_resampled_by_patient_and_traces_make_no_scan_normal() -> None:
    facts = pd.DataFrame(
        {
            "case": np.repeat([f"c{n}" for n in range(9)], 3),
            "patient": np.repeat(["p0", "p0", "p1", "p1", "p2", "p2", "p3", "p3", "p3"], 3),
            "level": np.tile([0.0, 0.5, 1.0], 9),
            "label": [0, 0, 0, 0, 1, 0] * 4 + [0, -1, 0],
        }
    )
    scores = np.random.default_rng(0).normal(size=27)
    scores[-3:] = 9.0  # the scan with a trace of a lesion: neither normal nor abnormal
    (row,) = evaluate_slices(facts, {"any": scores}, bootstrap_samples=20, top_slices=1)
    known = facts["label"] != -1
    labels = np.array([0, 1] * 4)
    highest = scores[:24].reshape(8, 3).max(axis=1)
    assert row["ap_patient"] == pytest.approx(average_precision(highest, labels))
    assert row["false_alarm_rate"] == false_alarm_rate(scores[known], facts["label"][known])
    assert row["patients_test"] == 4
    assert row["auroc_patient_low"] is None  # eight scans, but of four patients
