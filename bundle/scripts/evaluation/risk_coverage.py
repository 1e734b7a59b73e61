"""Does it help to refuse the most uncertain slices? Detection on those that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.bootstrap import Statistic
from scripts.evaluation.checks import check_finite, check_labelled
from scripts.evaluation.detection import auroc
from scripts.evaluation.intervals import NO_THRESHOLD, Bootstrap, join_reasons, make_bootstrap, with_interval
from scripts.evaluation.matched import matched_auroc

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the slices that are kept."""

NO_PAIR = "no pair of one level is kept"
NO_CLASS = "a class is missing"


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
        For each coverage: ``coverage``, ``slices_normal``, ``slices_abnormal``; ``auroc``,
        ``auroc_matched``, ``risk`` (mean of the share of normal slices called abnormal and that of
        abnormal ones called normal) and ``gain_matched`` (matched AUROC less that of all slices, on the same
        resamples; an interval that holds 0 is no difference seen), each with ``_low`` and ``_high``; and
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
    slices = _Slices(values, classes, places, doubt)
    bootstrap = make_bootstrap(bootstrap_samples, seed)
    return [_coverage_row(slices, people, threshold, coverage, bootstrap) for coverage in coverages]


class _Slices(NamedTuple):
    """Checked columns, (N,) each."""

    values: NDArray
    classes: NDArray
    places: NDArray
    doubt: NDArray

    def take(self, rows: NDArray) -> _Slices:
        """Return the slices at ``rows``."""
        return _Slices(*(column[rows] for column in self))

    def most_certain(self, coverage: float) -> _Slices:
        """Return the share ``coverage`` of lowest uncertainty; ties with the last one are kept too."""
        if not 0 < coverage <= 1:
            raise InputError(f"Expected a coverage in (0, 1], got {coverage}.")
        if not self.doubt.size:
            return self
        last = np.sort(self.doubt)[int(np.ceil(coverage * self.doubt.size)) - 1]
        return self.take(self.doubt <= last)

    def matched(self) -> float | None:
        """Return the position-matched AUROC."""
        return matched_auroc(self.values, self.classes, self.places)

    def risk(self, threshold: float | None) -> float | None:
        """Return the balanced error at a threshold, None without one or without one of the classes."""
        normal, abnormal = self.values[self.classes == 0], self.values[self.classes == 1]
        if threshold is None or not normal.size or not abnormal.size:
            return None
        return float(((normal > threshold).mean() + (abnormal <= threshold).mean()) / 2)


def _coverage_row(
    slices: _Slices, patients: NDArray, threshold: float | None, coverage: float, bootstrap: Bootstrap
) -> dict[str, Any]:
    def gain(rows: NDArray[np.intp]) -> float | None:
        drawn = slices.take(rows)
        kept, every = drawn.most_certain(coverage).matched(), drawn.matched()
        return None if kept is None or every is None else kept - every

    def of_kept(figure: Callable[[_Slices], float | None]) -> Statistic:
        return lambda rows: figure(slices.take(rows).most_certain(coverage))

    no_risk = NO_THRESHOLD if threshold is None else NO_CLASS
    figures: list[tuple[str, Statistic, str]] = [
        ("auroc", of_kept(lambda kept: auroc(kept.values, kept.classes)), NO_CLASS),
        ("auroc_matched", of_kept(lambda kept: kept.matched()), NO_PAIR),
        ("risk", of_kept(lambda kept: kept.risk(threshold)), no_risk),
        ("gain_matched", gain, NO_PAIR),
    ]
    kept, reasons = slices.most_certain(coverage), dict[str, str]()
    row: dict[str, Any] = {
        "coverage": float(coverage),
        "slices_normal": int((kept.classes == 0).sum()),
        "slices_abnormal": int((kept.classes == 1).sum()),
    }
    needed = (slices.classes == 0, slices.classes == 1)
    for name, statistic, missing in figures:
        row |= with_interval(name, statistic, patients, bootstrap, reasons, missing, needed)
    return row | {"undefined": join_reasons(reasons)}
