"""Choose a CL-VAE for each held-out class by others that stand in for it; its own images have no say."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scripts.report.results import Row

STAND_IN = "stand_in:"
"""Anomalies of :func:`scripts.data.anomaly_splits.stand_in`: ``stand_in:<held out>-<other>``."""


class Choice(NamedTuple):
    """A configuration and a score, and their mean AUROC over the classes that stood in."""

    configuration: str
    score: str
    auroc: float


def choose(rows: Sequence[Row], dataset: str, held_out: str, model: str = "clvae") -> Choice | None:
    """Return the configuration and score with the highest mean AUROC for a held-out class.

    Only single members are compared, so that choosing costs one training for each class that stands in.

    Args:
        rows: of the results file.
        dataset: name of the data set.
        held_out: label of the class.
        model: family to choose from.

    Returns:
        The best, the first in the alphabet where several are; None where no class has stood in.
    """
    figures: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if (row["dataset"], row["model"], row["members"]) != (dataset, model, "1"):
            continue
        if row["anomaly"].startswith(f"{STAND_IN}{held_out}-") and row["auroc"]:
            of_anomaly = figures.setdefault((row["configuration"], row["score"]), {})
            of_anomaly.setdefault(row["anomaly"], []).append(float(row["auroc"]))
    # A configuration that stood only some of the tests cannot be compared.
    most = max((len(one) for one in figures.values()), default=0)
    choices = [
        Choice(*key, statistics.fmean(statistics.fmean(values) for values in one.values()))
        for key, one in sorted(figures.items())
        if len(one) == most
    ]
    return max(choices, key=lambda choice: choice.auroc, default=None)
