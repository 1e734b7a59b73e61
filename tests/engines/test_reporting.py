"""What the report says in words: whether a run beats the baselines, and what a reader is warned of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.engines.reporting import NO_MODEL, NO_NETWORK, SYNTHETIC, verdicts, warnings_of
from scripts.engines.trained_run import TrainedRun
from tests.small_networks import small_mapper

RUN = TrainedRun("vae", Path("nowhere"), small_mapper(score="nll"), 0.0, None, "no file", 0)
SQUARED = TrainedRun("ae", Path("nowhere"), small_mapper(score="squared_error"), 1.0, None, "no file", 0)


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


def test_what_cannot_be_known_is_warned_of(tmp_path):
    (tmp_path / "split.json").touch()
    warnings = warnings_of([RUN, replace(SQUARED, folder=tmp_path)], synthetic=True)
    assert warnings == [
        SYNTHETIC,
        "vae has no thresholds for these settings: no file.",
        "vae holds no split: whether it was trained on these patients is unknown.",
        "ae has no thresholds for these settings: no file.",
    ]
