"""Rows of the results file from finished units: single detectors and ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scripts.engines.benchmark_units import Unit, UnitResult
from scripts.evaluation.detection import auroc
from scripts.latent.scores import Average, LatentScore, Merge, anomaly_scores

Row = dict[str, Any]

SINGLE = ""
"""Value of ``merge`` for a single detector, where nothing is merged."""


def unit_rows(unit: Unit, result: UnitResult) -> list[Row]:
    """Return one row for every score of a unit."""
    shared = _shared([unit], [result])
    return [
        {**shared, "score": name, "merge": SINGLE, "auroc": auroc(values, result.anomalous)}
        for name, values in result.scores.items()
    ]


def ensemble_rows(units: Sequence[Unit], results: Sequence[UnitResult]) -> list[Row]:
    """Return one row for every score, merge and average of members of one problem; none without evidence."""
    evidence = [result.evidence for result in results if result.evidence is not None]
    if len(evidence) < len(results):
        return []
    test, validation = zip(*evidence, strict=True)
    shared, rows = _shared(units, results), []
    for score in LatentScore:
        for merge, average in _ways(score):
            values = anomaly_scores(test, score, validation, merge, average)
            figure = auroc(values, results[0].anomalous)
            rows.append({**shared, "score": str(score), "merge": f"{merge}, {average}", "auroc": figure})
    return rows


def _ways(score: LatentScore) -> list[tuple[Merge, Average]]:
    """Return the ways to merge that differ: errors have no classes, KLs are averaged as they are."""
    if score is LatentScore.RECONSTRUCTION_ERROR:
        return [(Merge.SCORES, Average.ARITHMETIC)]
    if score is LatentScore.PRIOR_DIVERGENCE:
        return [(merge, Average.ARITHMETIC) for merge in Merge]
    return [(merge, average) for merge in Merge for average in Average]


def _shared(units: Sequence[Unit], results: Sequence[UnitResult]) -> Row:
    first = units[0]
    return {
        "anomaly": first.anomaly,
        "held_out": first.anomaly.removeprefix("class:") if first.anomaly.startswith("class:") else "",
        "protocol": str(first.protocol),
        "model": first.entry.model,
        "configuration": first.entry.configuration,
        "members": len(units),
        "seed": first.seed,
        "split_seed": first.split_seed,
        "normal": int((results[0].anomalous == 0).sum()),
        "anomalous": int(results[0].anomalous.sum()),
        "epochs": _mean(results, "epochs"),
        "seconds": _total(results, "seconds"),
        "inference_milliseconds": _total(results, "inference_milliseconds"),
        "parameters": _total(results, "parameters"),
    }


def _known(results: Sequence[UnitResult], name: str) -> list[float] | None:
    values = [result.facts[name] for result in results]
    return None if any(value is None for value in values) else values


def _mean(results: Sequence[UnitResult], name: str) -> float | None:
    values = _known(results, name)
    return None if values is None else float(np.mean(values))


def _total(results: Sequence[UnitResult], name: str) -> float | None:
    values = _known(results, name)
    return None if values is None else float(np.sum(values))
