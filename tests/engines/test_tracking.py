from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from monai.handlers import MLFlowHandler

from scripts.engines import tracking
from scripts.engines.tracking import RUN_FILE, RunTracker, log_evaluation


class Store:
    """Stand-in for MLflow's client: remembers what it was asked to do; calls in ``broken`` fail."""

    def __init__(self, uri: str = "sqlite:///store.db", known: tuple[str, ...] = ("unfinished",)) -> None:
        self.tracking_uri, self.known = uri, list(known)
        self.broken: set[str] = set()
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            if name in self.broken:
                raise MlflowException(f"{name} is broken")
            return getattr(self, f"_{name}", lambda *_, **__: None)(*args, **kwargs)

        if name.startswith("_"):
            raise AttributeError(name)
        return call

    def _get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1", lifecycle_stage="active", name=name)

    def _create_run(self, experiment_id: str, run_name: str) -> Any:
        self.known.append(f"run{len(self.known)}")
        return self._get_run(self.known[-1])

    def _get_run(self, run_id: str) -> Any:
        if run_id not in self.known:
            raise MlflowException(f"no run {run_id}")
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id), data=SimpleNamespace(params={}))

    def _get_metric_history(self, *_: Any) -> list[Any]:
        return []

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


def handler(store: Store, run_name: str | None = None) -> MLFlowHandler:
    made = MLFlowHandler(tracking_uri="sqlite:///unused.db", run_name=run_name)
    made.client = store
    return made


def start(folder: Path, store: Store, files: tuple[str, ...] = ()) -> tuple[RunTracker, MLFlowHandler]:
    """Start a tracker with one handler for the training and one for the validation."""
    folder.mkdir(parents=True, exist_ok=True)
    first = handler(store)
    tracker = RunTracker([object(), first, handler(store)], str(folder), files)
    tracker.start()
    return tracker, first


def write_history(folder: Path, epochs: int) -> None:
    rows = [f"{epoch}.0,{epoch / 10}," for epoch in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join(["epoch,train_loss,val_elbo", *rows]) + "\n")


def logged_steps(store: Store) -> list[int]:
    return [one.step for _, given in store.named("log_batch") for one in given.get("metrics", [])]


@pytest.fixture(autouse=True)
def mlflow_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the stores that handlers make at once, and the environment, out of this process."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("mlflow.MlflowClient", lambda uri=None, tracking_uri=None: Store(uri or tracking_uri))


def test_nothing_happens_without_handlers(tmp_path: Path) -> None:
    tracker = RunTracker([object(), None], str(tmp_path), [])
    tracker.start()
    tracker.finish()
    assert list(tmp_path.iterdir()) == []


def test_new_training_never_takes_up_an_unfinished_run(tmp_path: Path) -> None:
    store = Store()
    for name in ("a", "b"):
        _, first = start(tmp_path / name, store)
        # What MONAI's handler does next: with a run at hand it looks for none.
        first.start(SimpleNamespace(state=SimpleNamespace(max_epochs=1, epoch_length=2)))
    assert len(store.named("create_run")) == 2
    assert store.named("search_runs") == []
    names = {given["run_name"] for _, given in store.named("create_run")}
    assert len(names) == 2


def test_resumed_training_goes_on_with_its_run(tmp_path: Path) -> None:
    store = Store()
    before, _ = start(tmp_path, store)
    (tmp_path / "resume.pt").touch()
    after, first = start(tmp_path, store)
    assert after.run_id == before.run_id == first.cur_run.info.run_id
    assert len(store.named("create_run")) == 1


def test_killed_before_its_first_epoch_it_is_a_new_run(tmp_path: Path) -> None:
    store = Store()
    before, _ = start(tmp_path, store)
    after, _ = start(tmp_path, store)
    assert after.run_id != before.run_id


def test_run_of_another_store_or_deleted_is_not_looked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(tmp_path, Store())
    (tmp_path / "resume.pt").touch()
    other = Store("http://server")
    start(tmp_path, other)
    assert other.named("get_run") == []
    assert len(other.named("create_run")) == 1
    other.known.clear()
    start(tmp_path, other)
    assert "beginning a new run" in caplog.text
    assert len(other.named("create_run")) == 2


def test_epochs_that_a_kill_kept_from_the_log_are_logged_later(tmp_path: Path) -> None:
    store = Store()
    tracker, first = start(tmp_path, store)
    for epochs in (2, 3, 3):
        write_history(tmp_path, epochs)
        first.epoch_completed(SimpleNamespace())
    assert logged_steps(store) == [1, 2, 3]
    write_history(tmp_path, 4)
    tracker.finish()
    assert logged_steps(store) == [1, 2, 3, 4]


def test_files_that_exist_are_logged_at_the_end(tmp_path: Path) -> None:
    store = Store()
    (tmp_path / "model.pt").touch()
    tracker, _ = start(tmp_path, store, (str(tmp_path / "model.pt"), str(tmp_path / "missing.png")))
    tracker.finish()
    assert [args[1] for args, _ in store.named("log_artifact")] == [str(tmp_path / "model.pt")]


@pytest.mark.parametrize("broken", ["create_run", "get_metric_history"])
def test_server_that_fails_at_the_start_is_replaced_by_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    store = Store("http://name:secret@server")
    store.broken.add(broken)
    tracker, first = start(tmp_path, store)
    assert f"MLflow at http://name:***@server fails ({broken} is broken)" in caplog.text
    assert tracker.client.tracking_uri == f"sqlite:///{tmp_path / 'mlruns.db'}"
    assert first.client is tracker.client
    assert "secret" not in (tmp_path / RUN_FILE).read_text()


def test_server_that_is_lost_later_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    tracker, first = start(tmp_path, store)
    store.broken |= {"log_batch", "log_artifact", "set_terminated", "get_run"}
    before = len(store.calls)
    with caplog.at_level(logging.WARNING):
        for epochs in (1, 2):
            write_history(tmp_path, epochs)
            first.iteration_completed(
                SimpleNamespace(state=SimpleNamespace(output={"loss": 1.0, "kl": 2.0}, iteration=epochs))
            )
            first.epoch_completed(SimpleNamespace())
        first.close()
        tracker.finish()
    assert len(caplog.records) == 1
    assert "going on without it" in caplog.text
    assert len(store.calls) == before + 1


@pytest.mark.case(65)
def test_long_setting_is_cut_and_kept_whole_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    monkeypatch.setattr(tracking, "plain_settings", lambda: {"long": "x" * 9000, "epochs": 3})
    start(tmp_path, store)
    ((_, given),) = store.named("log_batch")
    values = {one.key: one.value for one in given["params"]}
    assert values["epochs"] == "3"
    assert len(values["long"]) == 500
    ((args, _),) = store.named("log_dict")
    assert args[1]["long"] == "x" * 9000


def test_evaluation_of_an_untracked_training_is_logged_nowhere(tmp_path: Path) -> None:
    log_evaluation(str(tmp_path), str(tmp_path / "evaluation"))


def test_evaluation_is_logged_to_the_run_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    start(tmp_path, store)
    figures = {"auroc_balanced": 0.75, "ap_balanced": None, "auroc_matched": 0.5}
    rows = [
        {"configuration": "default", "score": "nll, alpha 0", **figures},
        {"configuration": "trivial", "score": "position", **figures},
        {"configuration": "pca", "score": "pca", **figures},
    ]
    (tmp_path / "metrics.json").write_text(json.dumps(rows))
    opened = Store()
    monkeypatch.setattr("mlflow.MlflowClient", lambda _: opened)
    log_evaluation(str(tmp_path), str(tmp_path))
    log_evaluation(str(tmp_path), str(tmp_path), test_name="other set")
    (args, given), (_, of_other) = opened.named("log_batch")
    assert args == (json.loads((tmp_path / RUN_FILE).read_text())["run_id"],)
    assert {one.key: one.value for one in given["metrics"]} == {
        "test_auroc_balanced/nll alpha 0": 0.75,
        "test_auroc_matched/nll alpha 0": 0.5,
    }
    assert {one.key for one in of_other["metrics"]} == {
        "test_other_set_auroc_balanced/nll alpha 0",
        "test_other_set_auroc_matched/nll alpha 0",
    }
