"""One figure of a table row: value, interval over patients, and the reason where either is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.bootstrap import FEWEST_PATIENTS, Statistic, patient_bootstrap

Bootstrap = Callable[[Statistic, ArrayLike], tuple[float, float] | None]
"""From a statistic of row indices and the patient of each row to an interval."""

NO_THRESHOLD = "no threshold from validation slices"
"""Why a figure that needs one is None."""

Figures = dict[str, float | None]


def make_bootstrap(samples: int = 1000, seed: int = 0) -> Bootstrap:
    """Return :func:`patient_bootstrap` with its number of resamples and its seed set."""
    return lambda statistic, patients: patient_bootstrap(statistic, patients, samples=samples, seed=seed)


def with_interval(
    metric: str,
    statistic: Statistic,
    patients: ArrayLike,
    bootstrap: Bootstrap,
    reasons: dict[str, str],
    missing: str | None = None,
    needed: Sequence[ArrayLike] = (),
) -> Figures:
    """Return ``metric``, ``metric_low`` and ``metric_high``; None where undefined, with the reason.

    Args:
        metric: its name.
        statistic: gets row indices, returns the figure or None.
        patients: (N,) patient of each row.
        bootstrap: how intervals are made.
        reasons: gets the reason under the metric's name where a figure or its interval is None.
        missing: the reason where the figure is None.
        needed: (N,) booleans, the rows of a kind that the figure hangs on, such as abnormal slices: where
            they are of fewer than :data:`FEWEST_PATIENTS` patients there is no honest interval.
    """
    people = np.asarray(patients)
    value = statistic(np.arange(people.size))
    few = any(np.unique(people[np.asarray(rows)]).size < FEWEST_PATIENTS for rows in needed)
    interval = None if value is None or few else bootstrap(statistic, people)
    if value is None:
        reasons[metric] = missing or "undefined"
    elif interval is None:
        reasons[f"{metric} interval"] = f"fewer than {FEWEST_PATIENTS} patients, or too few with both classes"
    low, high = interval or (None, None)
    return {metric: value, f"{metric}_low": low, f"{metric}_high": high}


def merge_rows(row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return two rows about the same as one, ``row`` before ``other``, with the reasons of both."""
    reasons = [one["undefined"] for one in (row, other) if one["undefined"]]
    return {**other, **row, "undefined": "; ".join(reasons)}


def join_reasons(reasons: Mapping[str, str]) -> str:
    """Write ``{"a": "x", "b": "x", "c": "y"}`` as ``"a, b: x; c: y"``."""
    metrics_of: dict[str, list[str]] = {}
    for metric, reason in reasons.items():
        metrics_of.setdefault(reason, []).append(metric)
    return "; ".join(f"{', '.join(metrics)}: {reason}" for reason, metrics in metrics_of.items())
