"""MLflow for a list of units: one run for the command, one nested in it for every unit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from monai.utils import optional_import, path_to_sqlite_uri

mlflow, _has_mlflow = optional_import("mlflow")

logger = logging.getLogger(__name__)


class NestedRuns:
    """Logs units to MLflow; does nothing where MLflow is not installed.

    Args:
        output_dir: has the store, ``mlruns.db``, unless MLFLOW_TRACKING_URI or ``uri`` names another.
        experiment: name of the experiment.
        uri: address of a store or server.
        name: of the command's own run.
    """

    def __init__(self, output_dir: str, experiment: str, uri: str | None = None, name: str = "units") -> None:
        self.uri = (
            os.environ.get("MLFLOW_TRACKING_URI") or uri or path_to_sqlite_uri(Path(output_dir) / "mlruns.db")
        )
        self.experiment, self.name = experiment, name
        self.client: Any = None
        self.experiment_id = self.parent = ""

    def log(self, name: str, parameters: Mapping[str, object], metrics: Mapping[str, float | None]) -> None:
        """Log a unit as a run nested in the command's; metrics that are None are left out.

        A store that fails ends the tracking with a warning, not the command.
        """
        if not _has_mlflow or self.uri == "":
            return
        self._attempt(partial(self._log, name, parameters, metrics))

    def _log(self, name: str, parameters: Mapping[str, object], metrics: Mapping[str, float | None]) -> None:
        if self.client is None:
            self._begin()
        tags = {"mlflow.parentRunId": self.parent}
        run = self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id
        for key, value in parameters.items():
            self.client.log_param(run, key, str(value)[:500])
        for key, figure in metrics.items():
            if figure is not None:
                self.client.log_metric(run, key, float(figure))
        self.client.set_terminated(run)

    def _begin(self) -> None:
        self.client = mlflow.MlflowClient(self.uri)
        found = self.client.get_experiment_by_name(self.experiment)
        self.experiment_id = (
            found.experiment_id if found is not None else self.client.create_experiment(self.experiment)
        )
        self.parent = self.client.create_run(self.experiment_id, run_name=self.name).info.run_id

    def finish(self) -> None:
        """Close the command's run."""
        if self.client is not None and self.uri:
            self._attempt(partial(self.client.set_terminated, self.parent))

    def _attempt(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # whatever it is, it may not end hours of training
            logger.warning("MLflow fails (%s); going on without it.", " ".join(str(error).split())[:200])
            self.uri = ""
