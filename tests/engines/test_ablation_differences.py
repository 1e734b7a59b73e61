from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scripts.engines.ablation_differences import difference_row
from scripts.engines.ablation_units import UnitResult
from scripts.evaluation.bootstrap import patient_bootstrap
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.paired import mean_difference
from tests.evaluation.cohort import make_cohort


def make_unit(seed: int, rows=slice(None), patients: str = "p", facts: int = 0) -> UnitResult:
    """Scores that differ with ``seed`` on slices that do not; ``rows`` of them, in that order."""
    cohort = make_cohort(patients=6, slices=20, seed=facts)
    names = [name.replace("p", patients) for name in cohort.patients]
    table = pd.DataFrame({"case": names, "patient": names, "slice": np.tile(np.arange(20), 6)})
    table = table.assign(level=cohort.levels, label=cohort.labels, own=make_cohort(6, 20, seed).scores)
    return UnitResult(table.iloc[rows].reset_index(drop=True), "own", [], {})


FULL = {0: make_unit(0), 1: make_unit(1), 2: make_unit(2)}
OTHER = {0: make_unit(10), 1: make_unit(11), 2: make_unit(12)}


def expected(seeds, rows):
    slices = FULL[0].slices.iloc[rows]
    labels, levels = slices["label"].to_numpy(), slices["level"].to_numpy()
    ours, theirs = ([units[seed].slices["own"].to_numpy()[rows] for seed in seeds] for units in (OTHER, FULL))

    def metric(scores, chosen):
        return matched_auroc(scores, labels[chosen], levels[chosen])

    statistic = mean_difference(metric, ours, theirs)
    figures = [metric(one, np.arange(len(rows))) for one in ours]
    interval = patient_bootstrap(statistic, slices["patient"], samples=30)
    return figures, statistic(np.arange(len(rows))), interval


def assert_is(row, figures, difference, interval):
    assert row["auroc_matched"] == pytest.approx(np.mean(figures))
    assert row["auroc_matched_deviation"] == pytest.approx(np.std(figures, ddof=1))
    assert row["auroc_matched_difference"] == pytest.approx(difference)
    ends = (row["auroc_matched_difference_low"], row["auroc_matched_difference_high"])
    assert ends == pytest.approx(interval)


def test_seeds_are_paired_and_averaged():
    row = difference_row(OTHER, FULL, 30)
    assert_is(row, *expected((0, 1, 2), np.arange(120)))
    labels = FULL[0].slices["label"]
    assert (row["seeds"], row["patients_test"], row["undefined"]) == (3, 6, "")
    assert (row["slices_normal"], row["slices_abnormal"]) == ((labels == 0).sum(), (labels == 1).sum())


def test_only_seeds_and_slices_that_both_have_enter_in_whatever_order():
    order = np.random.default_rng(0).permutation(np.arange(7, 120))
    shuffled = {seed: make_unit(10 + seed, order) for seed in (0, 2)}
    assert_is(difference_row(shuffled, FULL, 30), *expected((0, 2), np.arange(7, 120)))


def test_slices_of_unknown_label_do_not_enter():
    unknown = {}
    for seed, unit in FULL.items():
        slices = unit.slices.copy()
        slices.loc[:9, "label"] = -1
        unknown[seed] = UnitResult(slices, "own", [], {})
    assert_is(difference_row(OTHER, unknown, 30), *expected((0, 1, 2), np.arange(10, 120)))


def test_the_same_units_differ_by_exactly_nothing():
    row = difference_row(FULL, FULL, 30)
    for metric in ("auroc_matched", "auroc_balanced"):
        assert [row[f"{metric}_difference{end}"] for end in ("", "_low", "_high")] == [0.0, 0.0, 0.0]


def test_other_test_patients_are_not_compared():
    row = difference_row({0: make_unit(10, patients="q")}, FULL, 30)
    assert "other test patients" in row["undefined"]
    assert "auroc_matched" not in row


def test_a_single_seed_has_no_deviation():
    assert difference_row({0: OTHER[0]}, FULL, 30)["auroc_matched_deviation"] is None
