"""Anomaly scores by quintile of uncertainty: the paper's own check (arXiv 2504.15562, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import check_finite, check_labelled
from scripts.evaluation.detection import auroc, undefined_reason
from scripts.evaluation.intervals import Bootstrap, join_reasons, make_bootstrap, with_interval

GROUPS = 5
"""Quintiles."""


def score_by_quintile(
    scores: ArrayLike,
    labels: ArrayLike,
    uncertainty: ArrayLike,
    patients: ArrayLike,
    groups: int = GROUPS,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Mean score of normal and abnormal slices in groups of rising uncertainty.

    Args:
        scores: (N,) finite slice scores, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        uncertainty: (N,) finite, one per slice; slices of equal uncertainty share a group.
        patients: (N,) patient of each slice.
        groups: number of groups of about as many slices each.
        bootstrap_samples: resamples of a group's patients for the 95 % intervals.
        seed: seed of the resampling.

    Returns:
        One row per group, lowest uncertainty first: ``quintile`` (from 1), ``uncertainty_low``,
        ``uncertainty_high``, ``slices_normal``, ``slices_abnormal``; ``score_normal``,
        ``score_abnormal`` (means) and ``auroc``, each with ``_low`` and ``_high``; and ``undefined``, the
        reason where one of them is None.

    Raises:
        InputError: lengths differ, a value is not finite, or a label is neither 0 nor 1.
    """
    values, classes = check_labelled(scores, labels)
    doubt, people = check_finite(uncertainty, "uncertainties"), np.asarray(patients)
    if not doubt.shape == values.shape == people.shape:
        raise InputError(
            f"Expected an uncertainty and a patient per score, got {values.size} scores, {doubt.size} "
            f"uncertainties and {people.size} patients."
        )
    if not values.size:
        return []
    edges = np.quantile(doubt, np.arange(1, groups) / groups)
    member = np.searchsorted(edges, doubt, side="left")
    bootstrap = make_bootstrap(bootstrap_samples, seed)
    return [
        {
            "quintile": group + 1,
            "uncertainty_low": float(doubt[chosen].min()),
            "uncertainty_high": float(doubt[chosen].max()),
            **_group(values[chosen], classes[chosen], people[chosen], bootstrap),
        }
        for group in range(groups)
        if (chosen := member == group).any()
    ]


def _group(values: NDArray, classes: NDArray, people: NDArray, bootstrap: Bootstrap) -> dict[str, Any]:
    def mean_of(label: int) -> Statistic:
        def mean(rows: NDArray[np.intp]) -> float | None:
            chosen = values[rows][classes[rows] == label]
            return float(chosen.mean()) if chosen.size else None

        return mean

    def area(rows: NDArray[np.intp]) -> float | None:
        return auroc(values[rows], classes[rows])

    missing, reasons = (undefined_reason(classes) or "").replace(" one ", " slice "), dict[str, str]()
    normal, abnormal = classes == 0, classes == 1
    row: dict[str, Any] = {"slices_normal": int(normal.sum()), "slices_abnormal": int(abnormal.sum())}
    for name, statistic, needed in (
        ("score_normal", mean_of(0), (normal,)),
        ("score_abnormal", mean_of(1), (abnormal,)),
        ("auroc", area, (normal, abnormal)),
    ):
        row |= with_interval(name, statistic, people, bootstrap, reasons, missing, needed)
    return row | {"undefined": join_reasons(reasons)}
