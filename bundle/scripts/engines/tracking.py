"""MLflow: what MONAI's ``--tracking mlflow`` leaves out of a training and its evaluation.

MONAI adds handlers that log losses and validation figures. This module gives the training a run of its own
(without a name those handlers adopt any unfinished run), logs parameters, epochs, figures, split and weights,
and keeps a lost server from ending a training.
"""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from ignite.engine import Engine
from monai.handlers import MLFlowHandler
from monai.utils import optional_import, path_to_sqlite_uri, path_to_uri

from scripts.engines.learned_baselines import PCA
from scripts.engines.overrides import plain_settings
from scripts.io.atomic import write_json
from scripts.report.results import TRIVIAL

mlflow, _has_mlflow = optional_import("mlflow")
MlflowException, _ = optional_import("mlflow.exceptions", name="MlflowException")

logger = logging.getLogger(__name__)

RUN_FILE = "mlflow_run.json"
"""Beside the resume state: where and under which id the training is tracked."""

LONGEST_VALUE = 500
"""Characters of a parameter that servers of every version take; the file has the whole text."""


class RunTracker:
    """Prepares the MLflow handlers of a training before it starts, and adds its files when it is done.

    Both do nothing without MLflow handlers, that is without ``--tracking``.

    Args:
        handlers: all handlers of the training and of its validation.
        folder: output folder of the training; a run resumed from it goes on with its own MLflow run.
        files: what to log at the end; files that are not there are left out.
    """

    def __init__(self, handlers: Sequence[object], folder: str, files: Sequence[str]) -> None:
        self.handlers = [handler for handler in handlers if isinstance(handler, MLFlowHandler)]
        self.folder, self.files = Path(folder), [Path(file) for file in files]
        self.client: Any = None
        self.run_id = ""
        self.logged_epoch = 0

    def start(self) -> None:
        """Begin or continue the MLflow run, and log the plain settings of the config as its parameters."""
        if not self.handlers:
            return
        # MLflow's own patience is four minutes for each request.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        first = self.handlers[0]
        try:
            run = self._begin(first)
        except Exception as error:  # whatever it is, it may not end a training
            _warn(first.client.tracking_uri, error, f"logging to {self.folder / 'mlruns.db'} instead")
            self._use_folder(first)
            run = self._begin(first)
        self.client, self.run_id = _SteadyClient(first.client, run), run.info.run_id
        for handler in self.handlers:
            handler.client, handler.experiment, handler.cur_run = self.client, first.experiment, run
            handler.output_transform, handler.optimizer_param_names = _losses, ()
            handler.epoch_logger = _log_nothing
        # Only the training's: the row of an epoch has the figures of its validation too.
        first.epoch_logger = self._log_epochs
        self._log_parameters(run.data.params)
        # MONAI writes the config there; the path it gives its own handler is none when --output_dir is given.
        for path in sorted(self.folder.glob("config_*.json"))[-1:]:
            self.client.log_artifact(self.run_id, str(path))

    def finish(self) -> None:
        """Log the files of the finished training; the handlers have closed its MLflow run."""
        if not self.handlers:
            return
        self._log_epochs()
        for file in self.files:
            if file.is_file():
                self.client.log_artifact(self.run_id, str(file))

    def _begin(self, handler: MLFlowHandler) -> Any:  # noqa: ANN401 - an MLflow run; MLflow is optional
        client = handler.client
        handler._set_experiment()  # finds or makes it, and survives another process that makes it too
        run = self._previous(client)
        if run is None:
            now = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
            name = handler.run_name or f"{self.folder.name}_{now}_{uuid4().hex[:6]}"
            experiment: Any = handler.experiment
            run = client.create_run(experiment.experiment_id, run_name=name)
            identity = {"tracking_uri": _public(client.tracking_uri), "run_id": run.info.run_id}
            write_json(self.folder / RUN_FILE, {**identity, "run_name": name})
        logged = client.get_metric_history(run.info.run_id, "train_loss")
        self.logged_epoch = max((one.step for one in logged), default=0)
        return run

    def _previous(self, client: Any) -> Any:  # noqa: ANN401 - of MLflow, which is optional
        """Return the MLflow run of the training that is resumed; None for a new one, or if it is gone."""
        stored = _stored_run(self.folder) if (self.folder / "resume.pt").exists() else None
        if stored is None or stored["tracking_uri"] != _public(client.tracking_uri):
            return None
        try:
            return client.get_run(stored["run_id"])
        except MlflowException as error:
            _warn(client.tracking_uri, error, "beginning a new run")
            return None

    def _log_parameters(self, known: Mapping[str, str]) -> None:
        settings = plain_settings()
        # A parameter of an MLflow run cannot change, and a run that goes on has them already.
        new = [
            mlflow.entities.Param(name, _short(value))
            for name, value in settings.items()
            if name not in known
        ]
        self.client.log_batch(self.run_id, params=new)
        self.client.log_dict(self.run_id, settings, "parameters.json")

    def _use_folder(self, handler: MLFlowHandler) -> None:
        handler.client = mlflow.MlflowClient(path_to_sqlite_uri(self.folder / "mlruns.db"))
        handler.artifact_location = path_to_uri(self.folder / "mlruns")
        handler.experiment = None

    def _log_epochs(self, _: Engine | None = None) -> None:
        """Log the rows of ``history.csv`` that the run lacks: a kill may come between state and log."""
        path = self.folder / "history.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            epoch = int(float(row["epoch"]))
            if epoch > self.logged_epoch:
                figures = {name: float(value) for name, value in row.items() if value and name != "epoch"}
                _log_figures(self.client, self.run_id, figures, epoch)
                self.logged_epoch = epoch


def log_evaluation(run_dir: str, folder: str, test_name: str | None = None) -> None:
    """Add figures and files of an evaluation to the MLflow run of its training, if that was tracked.

    Args:
        run_dir: output folder of the training.
        folder: what the evaluation wrote, with ``metrics.json``; its files go to one of this name.
        test_name: of another data set than the training's, whose figures get names of their own.
    """
    stored = _stored_run(Path(run_dir))
    if stored is None or not _has_mlflow:
        return
    # Where the stored address lost its password, the environment must have the whole.
    uri = None if "***" in stored["tracking_uri"] else stored["tracking_uri"]
    client = _SteadyClient(mlflow.MlflowClient(uri))
    rows = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
    test = "test" if test_name is None else "test_" + re.sub(r"[^\w.-]", "_", test_name)
    figures = {
        f"{test}_{name}/{row['score'].replace(',', '')}": row[name]
        for row in rows
        for name in ("auroc_balanced", "ap_balanced", "auroc_matched")
        if row["configuration"] not in (TRIVIAL, PCA) and row[name] is not None
    }
    _log_figures(client, stored["run_id"], figures, step=0)
    client.log_artifacts(stored["run_id"], folder, Path(folder).name)


class _SteadyClient:
    """An MLflow client whose failures are one warning; after it, calls do nothing."""

    def __init__(self, client: Any, run: Any = None) -> None:  # noqa: ANN401 - of MLflow, which is optional
        self._client, self._run, self._lost = client, run, False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        member = getattr(self._client, name)
        if not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the client returns
            if not self._lost:
                try:
                    return member(*args, **kwargs)
                except Exception as error:  # whatever it is, it may not end a training
                    self._lost = True
                    _warn(self._client.tracking_uri, error, "going on without it")
            return self._run

        return call


def _log_figures(client: _SteadyClient, run_id: str, figures: Mapping[str, float], step: int) -> None:
    now = int(time.time() * 1000)
    metrics = [mlflow.entities.Metric(name, value, now, step) for name, value in figures.items()]
    client.log_batch(run_id, metrics=metrics)


def _losses(output: Mapping[str, Any]) -> dict[str, float]:
    return {f"batch_{name}": float(value) for name, value in output.items() if np.ndim(value) == 0}


def _log_nothing(_: Engine) -> None:
    """Stand in for an epoch logger."""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _stored_run(folder: Path) -> dict[str, str] | None:
    path = folder / RUN_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _warn(uri: str, error: Exception, consequence: str) -> None:
    reason = " ".join(str(error).split())[:200]
    logger.warning("MLflow at %s fails (%s); %s.", _public(uri), reason, consequence)


def _public(uri: str) -> str:
    """Return an address without its password."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:***@", uri)
