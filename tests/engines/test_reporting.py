"""What the report says in words: whether a run beats the baselines, and what a reader is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.engines.detection_section import NO_MODEL, NO_NETWORK, summary_rows, verdicts
from scripts.engines.reporting import SYNTHETIC, warnings_of
from scripts.engines.trained_run import TrainedRun
from scripts.report.page import Section, Table
from tests.small_networks import small_mapper

RUN = TrainedRun("vae", Path("nowhere"), small_mapper(score="nll"), 0.0, None, "no file", 0, False)
SQUARED = TrainedRun(
    "ae", Path("nowhere"), small_mapper(score="squared_error"), 1.0, None, "no file", 0, True
)


def make_row(run, score, matched, low=None):
    return {"run": run, "score": score, "auroc_matched": matched, "auroc_matched_low": low}


BASELINES = [
    make_row(NO_MODEL, "position", 0.55),
    make_row(NO_MODEL, "asymmetry", 0.6),
    make_row(NO_MODEL, "undefined", None),
    make_row(NO_NETWORK, "pca", 0.99),
]


@pytest.mark.parametrize(
    ("matched", "low", "words"),
    [
        (0.7, 0.65, "is above the best"),
        (0.7, 0.58, "is above, within its interval, the best"),
        (0.7, None, "is above, within its interval, the best"),
        (0.6, 0.5, "is NOT above the best"),
    ],
)
def test_each_run_is_held_against_the_best_baseline_by_its_own_score(matched, low, words):
    rows = [*BASELINES, make_row("vae", "nll, alpha 0", matched, low), make_row("vae", "squared_error", 0.9)]
    (sentence,) = verdicts(rows, [RUN])
    assert f"vae: the matched AUROC of nll, alpha 0, {matched:.3f}, {words} baseline" in sentence
    assert "(asymmetry, 0.600)" in sentence


def test_runs_with_scores_of_their_own_have_sentences_of_their_own():
    rows = [*BASELINES, make_row("vae", "nll, alpha 0", 0.5), make_row("ae", "squared_error", 0.7)]
    first, second = verdicts(rows, [RUN, SQUARED])
    assert "vae" in first
    assert "ae: the matched AUROC of squared_error, 0.700" in second
    assert verdicts([make_row(NO_MODEL, "position", None)], [RUN]) == [
        "Matched AUROC is undefined on this test."
    ]


def test_summary_joins_slices_and_pixels_of_each_runs_own_score():
    rows = [
        {**make_row(NO_MODEL, "position", 0.55), "undefined": ""},
        {**make_row("vae", "nll, alpha 0", 0.5), "undefined": "auroc_patient: none"},
        {**make_row("vae", "squared_error", 0.9), "undefined": ""},
    ]
    pixels = [
        {"run": "vae", "map": "anomaly (nll)", "ap_pixel": 0.2, "undefined": "dice: no threshold"},
        {"run": "vae", "map": "squared_error", "ap_pixel": 0.7, "undefined": ""},
    ]
    first, last = summary_rows(rows, [RUN], [Section("pixels", "", [Table("pixels", "", pixels)])])
    assert (first["score"], first["auroc_matched"], first["ap_pixel"]) == ("nll, alpha 0", 0.5, 0.2)
    assert first["undefined"] == "auroc_patient: none; dice: no threshold"
    assert last == rows[0] | {"undefined": "ap_pixel, aupro, dice, dice_oracle: this score has no map"}


def test_what_cannot_be_known_is_warned_of():
    warnings = warnings_of([RUN, SQUARED], synthetic=True)
    assert warnings == [
        SYNTHETIC,
        "vae has no thresholds for these settings: no file.",
        "vae or the weights it started from hold no split: whether they have seen these patients is unknown.",
        "ae has no thresholds for these settings: no file.",
    ]
