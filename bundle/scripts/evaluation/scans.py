"""From slices to whole scans: one score and one label per scan, and false alarms on normal scans."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import FloatArray, check_finite, check_fraction
from scripts.evaluation.sensitivity import SENSITIVITY, threshold_at_sensitivity

TOP_SLICES = 5
"""How many of a scan's highest slice scores are averaged to its own."""


def scan_table(facts: pd.DataFrame, scores: ArrayLike, top_slices: int = TOP_SLICES) -> pd.DataFrame:
    """Return one row per scan with its score and label.

    The score is the mean of the ``top_slices`` highest slice scores (of all slices where there are
    fewer). A scan is abnormal (1) with one abnormal slice, normal (0) when every slice is normal,
    and -1 otherwise: only traces of lesion, or no mask.

    Args:
        facts: slice facts with columns case, patient, label.
        scores: (N,) slice scores, one per row of ``facts``.
        top_slices: at least 1.

    Returns:
        Columns case, patient, score, label, in the order of case.

    Raises:
        InputError: lengths differ, a score is not finite, or ``top_slices`` is below 1.
    """
    values = _check_scores(facts, scores)
    if top_slices < 1:
        raise InputError(f"Expected at least 1 slice for the score of a scan, got top_slices {top_slices}.")
    rows = [
        {
            "case": case,
            "patient": group["patient"].iloc[0],
            "score": float(np.sort(group["score"])[-top_slices:].mean()),
            "label": _scan_label(group["label"].to_numpy()),
        }
        for case, group in facts.assign(score=values).groupby("case", sort=True)
    ]
    return pd.DataFrame(rows, columns=["case", "patient", "score", "label"])


def _check_scores(facts: pd.DataFrame, scores: ArrayLike) -> FloatArray:
    values = check_finite(scores, "scores")
    if values.size != len(facts):
        raise InputError(f"Expected one score per slice, got {values.size} scores and {len(facts)} slices.")
    return values


def _scan_label(labels: np.ndarray) -> int:
    if (labels == 1).any():
        return 1
    return 0 if (labels == 0).all() else -1


def false_alarms_per_scan(
    facts: pd.DataFrame, scores: ArrayLike, sensitivity: float = SENSITIVITY
) -> float | None:
    """Return the mean number of alarmed slices on a normal scan, at a slice sensitivity.

    The threshold is the highest one that alarms on at least ``sensitivity`` of the abnormal slices.

    Args:
        facts: slice facts with columns case, label.
        scores: (N,) slice scores, one per row of ``facts``.
        sensitivity: share of abnormal slices to find, in (0, 1).

    Returns:
        Slices per normal scan, or None where no abnormal slice or no normal scan exists.

    Raises:
        InputError: ``sensitivity`` out of range, lengths differ, or a score is not finite.
    """
    return false_alarm_statistic(facts, scores, sensitivity)(np.arange(len(facts)))


def false_alarm_statistic(
    facts: pd.DataFrame, scores: ArrayLike, sensitivity: float = SENSITIVITY
) -> Statistic:
    """Return :func:`false_alarms_per_scan` of given rows, for a bootstrap; finds the normal scans once.

    Rows are those of whole scans, repeats allowed: a scan drawn twice counts twice.
    Arguments and errors are those of :func:`false_alarms_per_scan`.
    """
    check_fraction(sensitivity, "sensitivity")
    values = _check_scores(facts, scores)
    labels, cases = facts["label"].to_numpy(), facts["case"].to_numpy()
    of_normal_scan = ~np.isin(cases, cases[labels != 0])
    begins_normal_scan = of_normal_scan & ~facts["case"].duplicated().to_numpy()

    def alarms_per_scan(rows: NDArray[np.intp]) -> float | None:
        scans, drawn = int(begins_normal_scan[rows].sum()), values[rows]
        abnormal = drawn[labels[rows] == 1]
        if not abnormal.size or not scans:
            return None
        alarms = drawn >= threshold_at_sensitivity(abnormal, sensitivity)
        return float((alarms & of_normal_scan[rows]).sum() / scans)

    return alarms_per_scan
