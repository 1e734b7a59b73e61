from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scripts.errors import InputError
from scripts.evaluation.scans import false_alarm_statistic, false_alarms_per_scan, scan_table

FACTS = pd.DataFrame(
    {
        "case": ["n1", "n1", "n1", "a1", "a1", "n2", "t1", "t1"],
        "patient": ["n", "n", "n", "a", "a", "n", "t", "t"],
        "label": [0, 0, 0, 1, -1, 0, 0, -1],
    }
)
SCORES = np.array([1.0, 2.0, 3.0, 2.0, 8.0, 0.5, 9.0, 9.0])


def test_scan_score_is_the_mean_of_its_highest_slices():
    table = scan_table(FACTS, SCORES, top_slices=2)
    assert table.to_dict("list") == {
        "case": ["a1", "n1", "n2", "t1"],
        "patient": ["a", "n", "n", "t"],
        "score": [5.0, 2.5, 0.5, 9.0],
        "label": [1, 0, 0, -1],
    }


def test_false_alarms_count_slices_of_normal_scans_at_the_sensitivity():
    # The one abnormal slice scores 2: two of the four slices of the normal scans n1, n2 reach it.
    assert false_alarms_per_scan(FACTS, SCORES) == 1.0
    assert false_alarms_per_scan(FACTS[FACTS["case"] != "a1"], SCORES[FACTS["case"] != "a1"]) is None
    some = ~FACTS["case"].isin(["n1", "n2"])
    assert false_alarms_per_scan(FACTS[some], SCORES[some]) is None


def test_threshold_reaches_the_sensitivity():
    labels = [1] * 20 + [0] * 20
    facts = pd.DataFrame({"case": ["a"] * 20 + ["n"] * 20, "label": labels})
    scores = np.concatenate([np.arange(20), np.arange(20) - 0.5])
    # 19 of 20 is 95 %: the threshold is 1, and 18 normal slices (1.5 .. 18.5) reach it.
    assert false_alarms_per_scan(facts, scores) == 18.0
    assert false_alarms_per_scan(facts, scores, sensitivity=0.951) == 19.0


def test_scans_of_a_resample_count_as_often_as_they_are_drawn():
    generator = np.random.default_rng(0)
    cases = np.repeat(np.arange(6), 4)
    facts = pd.DataFrame({"case": cases, "label": np.where(cases < 3, generator.integers(0, 2, 24), 0)})
    facts.loc[[0, 4, 8], "label"] = 1
    scores = generator.normal(size=24)
    drawn = [0, 1, 1, 3, 3, 3, 4]
    rows = np.concatenate([np.flatnonzero(cases == case) for case in drawn])
    copies = facts.iloc[rows].assign(case=np.repeat(np.arange(len(drawn)), 4))  # each a scan of its own
    statistic = false_alarm_statistic(facts, scores)
    assert statistic(rows) == false_alarms_per_scan(copies, scores[rows])
    assert statistic(rows[cases[rows] < 3]) is None


def test_wrong_input_is_refused_with_its_reason():
    with pytest.raises(InputError, match="one score per slice, got 3 scores and 8 slices"):
        scan_table(FACTS, SCORES[:3])
    with pytest.raises(InputError, match="one score per slice, got 3 scores and 8 slices"):
        false_alarms_per_scan(FACTS, SCORES[:3])
    with pytest.raises(InputError, match="at least 1 slice"):
        scan_table(FACTS, SCORES, top_slices=0)
    with pytest.raises(InputError, match="sensitivity to lie strictly between"):
        false_alarms_per_scan(FACTS, SCORES, sensitivity=95)
