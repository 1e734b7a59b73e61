"""The rows of the results table: each score on the same slices, with intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import FloatArray, check_finite
from scripts.evaluation.detection import auroc, average_precision, undefined_reason
from scripts.evaluation.intervals import Bootstrap, join_reasons, make_bootstrap, with_interval
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.scans import TOP_SLICES, false_alarm_statistic, scan_table
from scripts.evaluation.sensitivity import false_alarm_rate

FACT_COLUMNS = ("case", "patient", "level", "label")


def evaluate_slices(
    facts: pd.DataFrame,
    scores: Mapping[str, np.ndarray],
    bootstrap_samples: int = 1000,
    seed: int = 0,
    top_slices: int = TOP_SLICES,
) -> list[dict[str, Any]]:
    """Measure each named score on the slices of known label.

    Slices of label -1 are left out of the slice figures. All scores meet the same resampled patients.

    Args:
        facts: slice facts with columns case, patient, level, label (1 abnormal, 0 normal, -1 left out).
        scores: for each name (N,) finite slice scores, one per row of ``facts``, higher is more abnormal.
        bootstrap_samples: resamples of the patients for the 95 % intervals.
        seed: seed of the resampling.
        top_slices: how many of a scan's highest slice scores are averaged to the score of the scan.

    Returns:
        A flat dict per score: ``score``; ``auroc_balanced``, ``ap_balanced``, ``auroc_matched``,
        ``false_alarm_rate`` (share of the normal slices at 95 % sensitivity) and ``auroc_patient``,
        ``ap_patient`` (whole scans) and ``false_alarms_per_scan`` (slices per normal scan at 95 %
        sensitivity), each with ``_low`` and ``_high`` ends; ``patients_test``,
        ``slices_normal``, ``slices_abnormal``; and ``undefined``: for what is None, the reason, or "".

    Raises:
        InputError: a column is missing, there is no row, lengths differ, or a score is not finite.
    """
    _check_facts(facts)
    return [
        _evaluate_score(facts, name, _check_scores(facts, name, values), bootstrap_samples, seed, top_slices)
        for name, values in tqdm(scores.items(), desc="bootstrap", unit="score", disable=None)
    ]


def _check_facts(facts: pd.DataFrame) -> None:
    missing = [column for column in FACT_COLUMNS if column not in facts.columns]
    if missing:
        raise InputError(
            f"Expected slice facts with columns {', '.join(FACT_COLUMNS)}, got none of {missing}."
        )
    if facts.empty:
        raise InputError(
            "Expected at least one slice to evaluate, got none; check the test side of the split."
        )
    strange = facts.loc[~facts["label"].isin([-1, 0, 1]), "label"]
    if len(strange):
        raise InputError(f"Expected slice labels -1, 0 or 1, got {strange.iloc[0]}.")


def _check_scores(facts: pd.DataFrame, name: str, values: np.ndarray) -> FloatArray:
    checked = check_finite(values, f"scores of {name!r}")
    if checked.size != len(facts):
        raise InputError(
            f"Expected one score per slice, got {checked.size} scores of {name!r} and {len(facts)} slices."
        )
    return checked


def _evaluate_score(
    facts: pd.DataFrame, name: str, values: FloatArray, samples: int, seed: int, top_slices: int
) -> dict[str, Any]:
    known = facts["label"].to_numpy() != -1
    slices, kept = facts[known], values[known]
    labels = slices["label"].to_numpy()
    bootstrap = make_bootstrap(samples, seed)
    row: dict[str, Any] = {"score": name}
    reasons: dict[str, str] = {}
    needed = (labels == 0, labels == 1)
    for metric, statistic, missing in _slice_statistics(slices, kept):
        row |= with_interval(metric, statistic, slices["patient"], bootstrap, reasons, missing, needed)
    row |= _evaluate_scans(facts, values, top_slices, bootstrap, reasons)
    row["patients_test"] = int(slices["patient"].nunique())
    row["slices_normal"] = int((labels == 0).sum())
    row["slices_abnormal"] = int((labels == 1).sum())
    row["undefined"] = join_reasons(reasons)
    return row


def _slice_statistics(slices: pd.DataFrame, scores: FloatArray) -> list[tuple[str, Statistic, str | None]]:
    """Return for each slice metric its name, its value on given rows, and why it is undefined."""
    labels, levels = slices["label"].to_numpy(), slices["level"].to_numpy()
    missing = _name_missing(labels, "slice")

    def matched(rows: NDArray[np.intp]) -> float | None:
        return matched_auroc(scores[rows], labels[rows], levels[rows])

    return [
        ("auroc_balanced", lambda rows: auroc(scores[rows], labels[rows]), missing),
        ("ap_balanced", lambda rows: average_precision(scores[rows], labels[rows], balanced=True), missing),
        ("auroc_matched", matched, missing or "no normal slice at the level of an abnormal one"),
        ("false_alarm_rate", lambda rows: false_alarm_rate(scores[rows], labels[rows]), missing),
    ]


def _evaluate_scans(
    facts: pd.DataFrame, values: FloatArray, top_slices: int, bootstrap: Bootstrap, reasons: dict[str, str]
) -> dict[str, Any]:
    scans = scan_table(facts, values, top_slices)
    scans = scans[scans["label"] != -1]
    labels, scores = scans["label"].to_numpy(), scans["score"].to_numpy()
    missing = _name_missing(scans.groupby("patient")["label"].max().to_numpy(), "patient")
    statistics: dict[str, Statistic] = {
        "auroc_patient": lambda rows: auroc(scores[rows], labels[rows]),
        "ap_patient": lambda rows: average_precision(scores[rows], labels[rows]),
    }
    row: dict[str, Any] = {}
    needed = (labels == 0, labels == 1)
    for metric, statistic in statistics.items():
        row |= with_interval(metric, statistic, scans["patient"], bootstrap, reasons, missing, needed)
    in_normal_scan = facts["case"].isin(scans.loc[labels == 0, "case"]).to_numpy()
    return row | with_interval(
        "false_alarms_per_scan",
        false_alarm_statistic(facts, values),
        facts["patient"],
        bootstrap,
        reasons,
        missing or "no abnormal slice",
        (in_normal_scan, facts["label"] == 1),
    )


def _name_missing(labels: np.ndarray, unit: str) -> str | None:
    reason = undefined_reason(labels)
    return reason and reason.replace(" one ", f" {unit} ")
