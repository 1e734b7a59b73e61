"""Training in several processes: one set of files, the same weights everywhere, figures over all slices."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
import psutil
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from scripts import BUNDLE_ROOT
from scripts.engines.processes import (
    check_shares,
    join_processes,
    leave_processes,
    process_device,
    process_rank,
)
from scripts.errors import InputError, ResourceError
from scripts.io.weights import load_weights
from tests.engines.conftest import TINY

OVERRIDE = "multi_gpu_train.yaml"
FILES = ["calibration.json", "history.csv", "model.pt", "resume.pt", "split.json", "training.png"]
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for torchrun with one process, and leave its group whatever happens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        values = ("0", "0", "1", "127.0.0.1", str(free.getsockname()[1]))
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    yield
    if dist.is_initialized():
        leave_processes()


def test_without_torchrun_the_error_says_how_to_start(monkeypatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="started by torchrun, which sets RANK, .*--nproc_per_node"):
        join_processes(torch.device("cpu"))
    assert process_rank() == 0


def test_each_process_has_the_gpu_of_its_number(monkeypatch, alone) -> None:
    assert process_device() == torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("RANK", "10")
    assert (process_device(), process_rank()) == (torch.device("cuda:2"), 10)
    with pytest.raises(ResourceError, match="found 2 for process 3 of this machine; lower --nproc_per_node"):
        join_processes(process_device())


def test_first_process_speaks_and_leaves_nothing_behind(alone) -> None:
    join_processes(torch.device("cpu"))
    assert dist.get_backend() == "gloo"
    assert logging.root.manager.disable == logging.NOTSET
    assert idist.backend() == "gloo"  # Ignite's metrics see the group
    leave_processes()
    assert not dist.is_initialized()
    assert idist.get_world_size() == 1


def test_a_process_without_a_validation_slice_is_refused(alone) -> None:
    join_processes(torch.device("cpu"))
    check_shares(1)
    with pytest.raises(InputError, match="for each of 1 processes, got 0; lower --nproc_per_node"):
        check_shares(0)


def test_override_file_trains_with_one_process(start_training, alone, tmp_path) -> None:
    workflow = start_training(tmp_path, OVERRIDE, device="$torch.device('cpu')", epochs=1)
    network = workflow.parser.get_parsed_content("network")
    assert isinstance(network, DistributedDataParallel)
    assert workflow.parser.get_parsed_content("train#dataloader").drop_last
    workflow.run()
    workflow.finalize()
    assert not dist.is_initialized()
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    # A file without a wrapper's prefix, and of the same network.
    load_weights(workflow.parser.get_parsed_content("network_def"), str(tmp_path / "model.pt"))
    state = torch.load(tmp_path / "resume.pt", weights_only=True)
    assert state["fingerprint"]["processes"] == 1
    assert state["network"].keys() == network.module.state_dict().keys()


class Torchrun:
    """The training command in two processes, which save their final weights where the test can see them."""

    def __init__(self, folder: Path, **overrides: Any) -> None:
        self.folder = folder
        finalize = [
            f"$torch.save(@network_def.state_dict(), '{folder.parent}/rank_%d.pt' % @rank)",
            {"_target_": "scripts.engines.processes.leave_processes"},
        ]
        settings = TINY | {"output_dir": str(folder), "finalize": finalize, **overrides}
        self.line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        self.line += ["-m", "monai.bundle", "run", "training"]
        self.line += ["--config_file", f"['configs/train.yaml','configs/{OVERRIDE}']"]
        for name, value in settings.items():
            self.line += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(
            self.line,
            cwd=BUNDLE_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self) -> str:
        process = self.start()
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        return output

    def kill_in_the_second_epoch(self) -> None:
        """Kill torchrun and both processes at once, a moment after the first epoch was saved."""
        process = self.start()
        while process.poll() is None and not (self.folder / "resume.pt").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        # The processes are sessions of their own, so a group's signal would not reach them.
        agent = psutil.Process(process.pid)
        for one in (*agent.children(recursive=True), agent):
            one.kill()
        process.communicate()


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def assert_same_weights(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_two_processes_make_phantoms_split_and_cache_once_and_train_alike(tmp_path) -> None:
    """From nothing: both want the phantoms, the split file and the cached slices at the same time."""
    run = Torchrun(tmp_path / "run", cache_dir=str(tmp_path / "cache"), phantom_subjects=6, epochs=2)
    output = run.finish()
    assert sorted(path.name for path in run.folder.iterdir()) == FILES
    assert len(list((tmp_path / "cache" / "phantoms").glob("Phantom_*"))) == 6
    # The first process writes the state; then it calibrates the best weights, which need not be the last.
    assert_same_weights(weights(run.folder / "resume.pt")["network"], weights(tmp_path / "rank_1.pt"))
    assert_same_weights(weights(run.folder / "model.pt"), weights(tmp_path / "rank_0.pt"))
    assert output.count("Thresholds from") == 1
    assert output.count("Epoch 2 of 2") == 1


@pytest.mark.slow
def test_two_processes_measure_every_validation_slice_once(start_training, tiny_cohort, tmp_path) -> None:
    settings = {"dataset_dir": str(tiny_cohort), "cache_dir": str(tmp_path / "cache"), "epochs": 1}
    # So small and faint that some do not show, and have no slice: an odd number, so that shares differ.
    faint = {"count": [1, 1], "contrast": [0.01, 0.15], "radius": [1.5, 5.0]}
    faint = {f"lesion_ranges#{name}": value for name, value in faint.items()}
    Torchrun(tmp_path / "run", **settings, **faint).finish()
    shared = pd.read_csv(tmp_path / "run" / "history.csv").iloc[0]
    # One process with the same weights.
    workflow = start_training(tmp_path / "alone", split_file=str(tmp_path / "run" / "split.json"), **faint)
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    network = workflow.parser.get_parsed_content("network_def")
    load_weights(network, str(tmp_path / "run" / "model.pt"))
    evaluator.run()
    assert len(workflow.parser.get_parsed_content("validate#dataset")) % 2 == 1  # shares differ
    for name in ("val_ap_pixel", "val_auroc", "val_ap", "epistemic_share"):
        assert shared[name] == pytest.approx(evaluator.state.metrics[name], rel=1e-4), name


@pytest.mark.slow
def test_two_killed_processes_continue_exactly(tiny_cohort, tmp_path) -> None:
    settings = {"dataset_dir": str(tiny_cohort), "cache_dir": str(tmp_path / "cache")}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = Torchrun(tmp_path / "a" / "run", **settings)
    whole.finish()
    killed = Torchrun(tmp_path / "b" / "run", **settings)
    killed.kill_in_the_second_epoch()
    assert weights(killed.folder / "resume.pt")["epoch"] < TINY["epochs"]
    killed.finish()
    assert (killed.folder / "model.pt").read_bytes() == (whole.folder / "model.pt").read_bytes()
    for rank in ("rank_0.pt", "rank_1.pt"):
        assert_same_weights(weights(tmp_path / "b" / rank), weights(tmp_path / "a" / rank))
    ours, theirs = (pd.read_csv(run.folder / "history.csv", dtype=str) for run in (killed, whole))
    pd.testing.assert_frame_equal(ours.drop(columns="seconds"), theirs.drop(columns="seconds"))
    # The number of processes is a setting like any other: one alone would train another run.
    assert weights(whole.folder / "resume.pt")["fingerprint"]["processes"] == 2
