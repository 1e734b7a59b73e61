"""Anomaly scores by quintile of uncertainty: the paper's own check (arXiv 2504.15562, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.checks import check_finite, check_labelled
from scripts.evaluation.detection import auroc, undefined_reason

GROUPS = 5
"""Quintiles."""


def score_by_quintile(
    scores: ArrayLike, labels: ArrayLike, uncertainty: ArrayLike, groups: int = GROUPS
) -> list[dict[str, Any]]:
    """Mean score of normal and abnormal slices in groups of rising uncertainty.

    Args:
        scores: (N,) finite slice scores, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        uncertainty: (N,) finite, one per slice; slices of equal uncertainty share a group.
        groups: number of groups of about as many slices each.

    Returns:
        One row per group, lowest uncertainty first: ``quintile`` (from 1), ``uncertainty_low``,
        ``uncertainty_high``, ``slices_normal``, ``slices_abnormal``, ``score_normal``,
        ``score_abnormal`` (means), ``auroc`` and ``undefined``, the reason where one of them is None.

    Raises:
        InputError: lengths differ, a value is not finite, or a label is neither 0 nor 1.
    """
    values, classes = check_labelled(scores, labels)
    doubt = check_finite(uncertainty, "uncertainties")
    if doubt.shape != values.shape:
        raise InputError(
            f"Expected one uncertainty per score, got {values.size} scores and {doubt.size} uncertainties."
        )
    if not values.size:
        return []
    edges = np.quantile(doubt, np.arange(1, groups) / groups)
    member = np.searchsorted(edges, doubt, side="left")
    return [
        {"quintile": group + 1, **_group(values[chosen], classes[chosen], doubt[chosen])}
        for group in range(groups)
        if (chosen := member == group).any()
    ]


def _group(values: NDArray, classes: NDArray, doubt: NDArray) -> dict[str, Any]:
    normal, abnormal = values[classes == 0], values[classes == 1]
    reason = undefined_reason(classes)
    return {
        "uncertainty_low": float(doubt.min()),
        "uncertainty_high": float(doubt.max()),
        "slices_normal": normal.size,
        "slices_abnormal": abnormal.size,
        "score_normal": float(normal.mean()) if normal.size else None,
        "score_abnormal": float(abnormal.mean()) if abnormal.size else None,
        "auroc": auroc(values, classes),
        "undefined": reason.replace(" one ", " slice ") if reason else "",
    }
