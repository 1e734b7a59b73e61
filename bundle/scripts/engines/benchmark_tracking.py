"""MLflow for a benchmark: one run for the command, one nested in it for every unit."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils import optional_import, path_to_sqlite_uri

from scripts.engines.benchmark_units import Unit, UnitResult

mlflow, _has_mlflow = optional_import("mlflow")

logger = logging.getLogger(__name__)


class BenchmarkTracker:
    """Logs units to MLflow; does nothing where MLflow is not installed.

    Args:
        output_dir: has the store, ``mlruns.db``, unless MLFLOW_TRACKING_URI or ``uri`` names another.
        experiment: name of the experiment.
        uri: address of a store or server.
    """

    def __init__(self, output_dir: str, experiment: str = "clvae", uri: str | None = None) -> None:
        self.uri = (
            os.environ.get("MLFLOW_TRACKING_URI") or uri or path_to_sqlite_uri(Path(output_dir) / "mlruns.db")
        )
        self.experiment = experiment
        self.client: Any = None
        self.experiment_id = self.parent = ""

    def log_unit(self, unit: Unit, result: UnitResult, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log parameters, costs and AUROCs of a unit as a run nested in this benchmark's.

        A store that fails ends the tracking with a warning, not the benchmark.
        """
        if not _has_mlflow or self.uri == "":
            return
        try:
            self._log(unit, result, rows)
        except Exception as error:  # whatever it is, it may not end a benchmark
            logger.warning("MLflow fails (%s); going on without it.", " ".join(str(error).split())[:200])
            self.uri = ""

    def _log(self, unit: Unit, result: UnitResult, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.client is None:
            self._begin()
        tags = {"mlflow.parentRunId": self.parent}
        run = self.client.create_run(self.experiment_id, run_name=unit.name, tags=tags).info.run_id
        entry = unit.entry
        identity = {"model": entry.model, "configuration": entry.configuration, "anomaly": unit.anomaly}
        for name, value in {**identity, "seed": unit.seed, "settings": result.facts["settings"]}.items():
            self.client.log_param(run, name, str(value)[:500])
        for row in rows:
            if row["members"] == 1 and row["auroc"] is not None:
                self.client.log_metric(run, f"auroc_{row['score']}", row["auroc"])
        for name in ("epochs", "seconds", "parameters", "inference_milliseconds"):
            if result.facts[name] is not None:
                self.client.log_metric(run, name, float(result.facts[name]))
        self.client.set_terminated(run)

    def _begin(self) -> None:
        self.client = mlflow.MlflowClient(self.uri)
        found = self.client.get_experiment_by_name(self.experiment)
        self.experiment_id = (
            found.experiment_id if found is not None else self.client.create_experiment(self.experiment)
        )
        self.parent = self.client.create_run(self.experiment_id, run_name="benchmark").info.run_id

    def finish(self) -> None:
        """Close the benchmark's run."""
        if self.client is not None and self.uri:
            self.client.set_terminated(self.parent)
