"""A training that was stopped, by an error or by SIGKILL, ends in the files of an uninterrupted one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigWorkflow

from scripts import BUNDLE_ROOT
from scripts.errors import InputError, find_bundle_error
from tests.engines.conftest import TINY

Start = Callable[..., ConfigWorkflow]
FILES = ["calibration.json", "history.csv", "model.pt", "resume.pt", "split.json", "training.png"]


def assert_same_run(folder: Path, whole: Path) -> None:
    """Weights and state to the bit, history to the letter but for the seconds, and no file too many."""
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert (folder / "model.pt").read_bytes() == (whole / "model.pt").read_bytes()
    assert calibration_of(folder) == calibration_of(whole)
    ours, theirs = (torch.load(one / "resume.pt", weights_only=True) for one in (folder, whole))
    assert_equal(ours, theirs)
    ours, theirs = (pd.read_csv(one / "history.csv", dtype=str) for one in (folder, whole))
    pd.testing.assert_frame_equal(ours.drop(columns="seconds"), theirs.drop(columns="seconds"))


def calibration_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "calibration.json").read_text()) | {"created": None}


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            assert_equal(ours[name], theirs[name])
    elif isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


@pytest.fixture(scope="module")
def whole(start_training: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    start_training(folder).run()
    return folder


def trainer_of(workflow: ConfigWorkflow) -> Any:
    return workflow.parser.get_parsed_content("train#trainer")


def test_a_run_that_an_error_stopped_ends_as_if_it_had_not_been(start_training, tmp_path, whole) -> None:
    """Shuffling, augmentation, dropout and latent noise are all drawn again as they would have been."""
    workflow = start_training(tmp_path / "run")
    trainer = trainer_of(workflow)

    @trainer.on(Events.ITERATION_COMPLETED(once=trainer.state.epoch_length + 2))
    def stop(engine: Engine) -> None:
        raise RuntimeError("the cable was pulled")

    with pytest.raises(RuntimeError):
        workflow.run()
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["epoch"] == 1
    start_training(tmp_path / "run").run()
    assert_same_run(tmp_path / "run", whole)


def test_validation_is_watched_from_the_first_epoch(whole) -> None:
    history = pd.read_csv(whole / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.drop(columns="attention_entropy").notna().all(axis=None)
    assert history["val_ap_pixel"].between(0, 1).all()


def test_a_finished_run_trains_nothing_but_may_be_calibrated_anew(start_training, whole) -> None:
    before = {name: (whole / name).read_bytes() for name in FILES if name != "calibration.json"}
    calibration = calibration_of(whole)
    for alpha in (0.25, calibration["alpha"]):
        workflow = start_training(whole, alpha=alpha)
        trainer_of(workflow).add_event_handler(Events.ITERATION_STARTED, lambda: pytest.fail("trained"))
        workflow.run()
        assert calibration_of(whole)["alpha"] == alpha
    assert calibration_of(whole) == calibration
    assert {name: (whole / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("override", "message"),
    [
        # More epochs mean another schedule of the learning rate: not the same run continued.
        ({"epochs": 4}, "expected a run with epochs=4, found one with epochs=3"),
        ({"learning_rate": 0.01}, "learning_rate=0.01, found one with learning_rate=0.002"),
        ({"lesion_share": 0.5}, "objective=.*'lesion_share': 0.5.*, found one with objective="),
        ({"amp": True}, "amp=True, found one with amp=False"),
        ({"early_stopping_patience": 5}, "early_stopping_patience=5, found one with"),
        ({"widths": [8, 16]}, r"widths=\[8, 16\], found one with widths=\[8, 8\]"),
    ],
)
def test_other_settings_are_refused_by_name(start_training, whole, override, message) -> None:
    before = (whole / "resume.pt").read_bytes()
    with pytest.raises(Exception, match=".") as caught:
        start_training(whole, **override).run()
    error = find_bundle_error(caught.value)
    assert isinstance(error, InputError)
    with pytest.raises(InputError, match=message):
        raise error
    assert (whole / "resume.pt").read_bytes() == before


# A wide network makes the state some 10 MB: writing it takes long enough to be caught at it.
KILLED = TINY | {"epochs": 4, "widths": [8, 160]}


class Command:
    """The training command in a process of its own."""

    def __init__(self, cohort: Path, folder: Path, **overrides: Any) -> None:
        self.folder = folder
        settings = KILLED | {
            "dataset_dir": str(cohort),
            "cache_dir": str(folder.parent / "cache"),
            "output_dir": str(folder),
            **overrides,
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", json.dumps(value))]
        arguments = [part.strip('"') for part in arguments]
        self.line = [sys.executable, "-m", "monai.bundle", "run", "training"]
        self.line += ["--config_file", "configs/train.yaml", *arguments]

    def start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipe = subprocess.DEVNULL
        return subprocess.Popen(self.line, cwd=BUNDLE_ROOT, env=environment, stdout=pipe, stderr=pipe)

    def finish(self) -> None:
        assert self.start().wait(timeout=300) == 0

    def kill_when(self, condition: Callable[[], bool]) -> bool:
        """Kill the process as soon as ``condition`` holds; tell whether it was killed before it ended."""
        process = self.start()
        try:
            while process.poll() is None:
                if condition():
                    process.send_signal(signal.SIGKILL)
                    break
        finally:
            process.kill()
        return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [{}, {"amp": True}, {"train#dataloader#num_workers": 1}],
    ids=["float32", "bfloat16", "loader-process"],
)
def test_kills_at_random_moments_change_nothing(tiny_cohort, tmp_path, overrides) -> None:
    Command(tiny_cohort, tmp_path / "whole", **overrides).finish()
    command = Command(tiny_cohort, tmp_path / "killed", **overrides)
    moments = random.Random(str(overrides))
    epochs = []
    for _ in range(2):
        done = epoch_on_disk(command.folder)
        started: list[float] = []
        delay = moments.uniform(0.0, 1.0)

        def reached(done: int = done, started: list[float] = started, delay: float = delay) -> bool:
            time.sleep(0.002)
            if not started and epoch_on_disk(command.folder) > done:
                started.append(time.monotonic())
            return bool(started) and time.monotonic() - started[0] > delay

        if not command.kill_when(reached):
            break
        epochs.append(epoch_on_disk(command.folder))
    assert epochs
    assert epochs[0] < KILLED["epochs"]
    command.finish()
    assert_same_run(command.folder, tmp_path / "whole")


def epoch_on_disk(folder: Path) -> int:
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


@pytest.mark.slow
def test_kills_during_a_save_change_nothing(tiny_cohort, tmp_path) -> None:
    Command(tiny_cohort, tmp_path / "whole").finish()
    command = Command(tiny_cohort, tmp_path / "killed")

    def half_written() -> list[Path]:
        # Large: the state or the weights, not the history.
        return [path for path in command.folder.glob(".tmp-*.pt") if path.stat().st_size > 0]

    def saving() -> bool:
        try:
            return bool(half_written())
        except FileNotFoundError:  # renamed between the two looks
            return False

    caught = 0
    for _ in range(8):
        if caught == 3 or not command.kill_when(saving):
            break
        caught += bool(half_written())
    assert caught >= 1
    command.finish()
    assert_same_run(command.folder, tmp_path / "whole")
