"""What MLflow gets of a unit of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.engines.benchmark_units import Unit, UnitResult
from scripts.engines.nested_runs import NestedRuns


class BenchmarkTracker(NestedRuns):
    """Logs units as runs nested in the benchmark's. Arguments: :class:`NestedRuns`."""

    def __init__(self, output_dir: str, experiment: str = "clvae", uri: str | None = None) -> None:
        super().__init__(output_dir, experiment, uri, name="benchmark")

    def log_unit(self, unit: Unit, result: UnitResult, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log parameters, costs and AUROCs of a unit."""
        entry = unit.entry
        identity = {"model": entry.model, "configuration": entry.configuration, "anomaly": unit.anomaly}
        metrics = {f"auroc_{row['score']}": row["auroc"] for row in rows if row["members"] == 1}
        costs = ("epochs", "seconds", "parameters", "inference_milliseconds")
        self.log(
            unit.name,
            {**identity, "seed": unit.seed, "settings": result.facts["settings"]},
            metrics | {name: result.facts[name] for name in costs},
        )
