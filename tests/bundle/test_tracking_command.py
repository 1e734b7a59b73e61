"""MLflow through MONAI's ``--tracking``, against real SQLite stores read back with MLflow's client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from monai.utils import path_to_sqlite_uri

from tests.bundle.commands import Ended, WarmCommands, environment

TRAINING = ("run", "training", "--config_file", "configs/train.yaml", "--tracking", "mlflow")


def client(folder: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(path_to_sqlite_uri(folder / "mlruns.db"))


def runs(folder: Path) -> list[Run]:
    store = client(folder)
    experiment = store.get_experiment_by_name("brain_mri_anomaly")
    assert experiment is not None
    return store.search_runs(experiment.experiment_id)


def files(folder: Path, run: Run, below: str | None = None) -> set[str]:
    return {Path(one.path).name for one in client(folder).list_artifacts(run.info.run_id, below)}


@pytest.fixture(scope="session")
def tracked(tiny_run: tuple[Path, Ended]) -> Path:
    return tiny_run[0]


def test_run_has_parameters_losses_figures_and_files(tracked: Path) -> None:
    (run,) = runs(tracked)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("run_")
    assert {name: run.data.params[name] for name in ("epochs", "widths", "modalities", "lesion_parts")} == {
        "epochs": "1",
        "widths": "[8, 16]",
        "modalities": "['t1ce']",
        "lesion_parts": "['intensity', 'ring', 'patch', 'mass_effect']",
    }
    figures = {"train_loss", "train_lesion_loss", "batch_loss", "batch_lesion_loss", "learning_rate"}
    figures |= {"val_ap_pixel", "val_auroc", "val_ap"}
    assert figures <= run.data.metrics.keys()
    row = (tracked / "history.csv").read_text().splitlines()
    history = dict(zip(row[0].split(","), row[-1].split(","), strict=True))
    assert run.data.metrics["val_auroc"] == pytest.approx(float(history["val_auroc"]))
    steps = client(tracked).get_metric_history(run.info.run_id, "batch_loss")
    assert [one.step for one in steps] == list(range(1, len(steps) + 1))
    written = {"split.json", "training.png", "history.csv", "model.pt", "calibration.json", "parameters.json"}
    assert written <= files(tracked, run)
    assert any(name.startswith("config_") for name in files(tracked, run))


def test_files_lie_in_the_output_folder(tracked: Path) -> None:
    (run,) = runs(tracked)
    stored = tracked / "mlruns" / run.info.run_id / "artifacts"
    assert (stored / "model.pt").read_bytes() == (tracked / "model.pt").read_bytes()


def test_no_socket_is_opened(tracked: Path) -> None:
    # MLflow is silent under pytest and CI of itself; the command knew of neither.
    assert (tracked.parent / "sockets.txt").read_text() == ""


def test_evaluation_adds_to_the_run(tracked: Path, evaluated: tuple[Path, Ended]) -> None:
    (run,) = runs(tracked)
    rows = json.loads((evaluated[0] / "metrics.json").read_text())
    row = next(row for row in rows if row["score"] == "nll, alpha 0.5")
    assert run.data.metrics["test_auroc_balanced/nll alpha 0.5"] == pytest.approx(row["auroc_balanced"])
    assert {"metrics.json", "detection.png", "slices.csv"} <= files(tracked, run, "evaluation")


@pytest.mark.slow
def test_resumed_training_goes_on_with_its_own_run_and_a_new_one_with_none(
    tracked: Path, commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    # One store for all: making a new one takes MLflow seconds.
    store = f"--tracking_uri={path_to_sqlite_uri(tracked / 'mlruns.db')}"
    (first,) = runs(tracked)
    options = (*TRAINING, *tiny_options, store, "--epochs=3")
    resumed = tmp_path / "resumed"

    killed = commands.run(
        *options, f"--output_dir={resumed}", kill_when=lambda: (resumed / "resume.pt").exists()
    )
    assert killed.code == -signal.SIGKILL
    (unfinished,) = (run for run in runs(tracked) if run.info.status == "RUNNING")
    assert unfinished.info.run_id != first.info.run_id

    commands.run(*options, f"--output_dir={tmp_path / 'new'}").check()
    (new,) = (run for run in runs(tracked) if run.info.run_name.startswith("new_"))
    assert new.info.run_id != unfinished.info.run_id
    assert client(tracked).get_run(unfinished.info.run_id).info.status == "RUNNING"

    commands.run(*options, f"--output_dir={resumed}").check()
    assert len(runs(tracked)) == 3
    assert client(tracked).get_run(unfinished.info.run_id).info.status == "FINISHED"
    history = client(tracked).get_metric_history(unfinished.info.run_id, "train_loss")
    assert sorted({one.step for one in history}) == [1, 2, 3]
    assert "model.pt" in files(tracked, unfinished)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a running MLflow server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    host, port = address.split(":")
    stores = ["--backend-store-uri", path_to_sqlite_uri(tmp_path / "server.db")]
    stores += ["--artifacts-destination", str(tmp_path / "served")]
    command = [sys.executable, "-m", "mlflow", "server", *stores, "--host", host, "--port", port]
    environ = environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    # A session of its own: the server starts workers, and all of them have to end with the test.
    with subprocess.Popen(
        [*command, "--workers", "1"],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            wait_for(f"http://{address}/health")
            yield f"http://{address}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def wait_for(address: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.5)


@pytest.mark.slow
def test_run_goes_to_the_server_of_the_environment(
    server: str, commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    variables = {"MLFLOW_TRACKING_URI": server}
    commands.run(*TRAINING, *tiny_options, f"--output_dir={folder}", variables=variables).check()
    store = mlflow.MlflowClient(server)
    experiment = store.get_experiment_by_name("brain_mri_anomaly")
    assert experiment is not None
    (run,) = store.search_runs(experiment.experiment_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["widths"] == "[8, 16]"
    assert {"train_loss", "val_ap_pixel"} <= run.data.metrics.keys()
    (served,) = (tmp_path / "served").rglob("model.pt")
    assert served.read_bytes() == (folder / "model.pt").read_bytes()
    assert not (folder / "mlruns.db").exists()


@pytest.mark.case(65)
@pytest.mark.slow
def test_server_that_does_not_answer_leaves_the_training_alone(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    server = {"MLFLOW_TRACKING_URI": "http://name:secret@127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    folder = tmp_path / "run"
    ended = commands.run(*TRAINING, *tiny_options, f"--output_dir={folder}", variables=server).check()
    assert "MLflow at http://name:***@127.0.0.1:9 fails" in ended.out
    assert f"logging to {folder / 'mlruns.db'} instead" in ended.out
    (run,) = runs(folder)
    assert run.info.status == "FINISHED"
    assert "model.pt" in files(folder, run)
    assert "secret" not in (folder / "mlflow_run.json").read_text()
