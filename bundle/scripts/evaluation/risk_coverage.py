"""Does it help to refuse the most uncertain slices? Detection on those that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import check_finite, check_labelled
from scripts.evaluation.detection import auroc
from scripts.evaluation.intervals import join_reasons, make_bootstrap, with_interval
from scripts.evaluation.matched import matched_auroc

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the slices that are kept."""


def risk_coverage(
    scores: ArrayLike,
    labels: ArrayLike,
    levels: ArrayLike,
    uncertainty: ArrayLike,
    patients: ArrayLike,
    threshold: float | None,
    coverages: Sequence[float] = COVERAGES,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Keep the most certain slices, and measure detection on them.

    Args:
        scores: (N,) finite slice scores, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        levels: (N,) 0 to 1.
        uncertainty: (N,) finite; slices as uncertain as the last one kept are kept too.
        patients: (N,) patient of each slice.
        threshold: slice threshold of the validation slices, above which a slice is called abnormal; None
            where there is none.
        coverages: shares to keep, in (0, 1], 1 first.
        bootstrap_samples: resamples of the patients for the 95 % intervals.
        seed: seed of the resampling.

    Returns:
        For each coverage: ``coverage``, ``slices_normal``, ``slices_abnormal``, ``auroc``,
        ``auroc_matched``, ``risk`` (mean of the share of normal slices called abnormal and that of
        abnormal ones called normal), ``gain_matched`` (matched AUROC less that of all slices, on the same
        resamples; an interval that holds 0 is no difference seen) with ``_low`` and ``_high``, and
        ``undefined``.

    Raises:
        InputError: lengths differ, a value is not finite, or a label is neither 0 nor 1.
    """
    values, classes = check_labelled(scores, labels)
    places, doubt = check_finite(levels, "levels"), check_finite(uncertainty, "uncertainties")
    people = np.asarray(patients)
    if not values.shape == places.shape == doubt.shape == people.shape:
        raise InputError(
            f"Expected a level, an uncertainty and a patient per score, got {values.size} scores, "
            f"{places.size} levels, {doubt.size} uncertainties and {people.size} patients."
        )
    bootstrap = make_bootstrap(bootstrap_samples, seed)
    rows = []
    for coverage in coverages:
        keep = _most_certain(doubt, coverage)
        reasons: dict[str, str] = {}
        gain = with_interval(
            "gain_matched",
            _matched_gain(values, classes, places, doubt, coverage),
            people,
            bootstrap,
            reasons,
            "no pair of one level is kept",
        )
        matched = matched_auroc(values[keep], classes[keep], places[keep])
        figures = {"auroc": auroc(values[keep], classes[keep]), "auroc_matched": matched}
        figures["risk"] = _risk(values[keep], classes[keep], threshold)
        reasons |= {name: _why(name, threshold) for name, value in figures.items() if value is None}
        counts = {"slices_normal": classes[keep] == 0, "slices_abnormal": classes[keep] == 1}
        rows.append(
            {
                "coverage": float(coverage),
                **{name: int(members.sum()) for name, members in counts.items()},
                **figures,
                **gain,
                "undefined": join_reasons(reasons),
            }
        )
    return rows


def _most_certain(doubt: NDArray, coverage: float) -> NDArray[np.bool_]:
    if not 0 < coverage <= 1:
        raise InputError(f"Expected a coverage in (0, 1], got {coverage}.")
    if not doubt.size:
        return np.zeros(0, dtype=bool)
    return doubt <= np.sort(doubt)[int(np.ceil(coverage * doubt.size)) - 1]


def _matched_gain(
    values: NDArray, classes: NDArray, places: NDArray, doubt: NDArray, coverage: float
) -> Statistic:
    def gain(rows: NDArray[np.intp]) -> float | None:
        kept = rows[_most_certain(doubt[rows], coverage)]
        one, other = (matched_auroc(values[part], classes[part], places[part]) for part in (kept, rows))
        return None if one is None or other is None else one - other

    return gain


def _risk(values: NDArray, classes: NDArray, threshold: float | None) -> float | None:
    normal, abnormal = values[classes == 0], values[classes == 1]
    if threshold is None or not normal.size or not abnormal.size:
        return None
    return float(((normal > threshold).mean() + (abnormal <= threshold).mean()) / 2)


def _why(name: str, threshold: float | None) -> str:
    if name == "risk" and threshold is None:
        return "no threshold from validation slices"
    return "no pair of one level is kept" if name == "auroc_matched" else "a class is missing"
