from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from scripts.engines import session
from scripts.errors import InputError, ResourceError


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a command changes for its whole process."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session.logging, "captureWarnings", lambda _: None)
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        yield
    set_determinism(None)
    torch.set_num_threads(threads)


def test_seed_decides_the_weights() -> None:
    drawn = []
    for seed in (3, 3, 4):
        session.start([], seed=seed)
        drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_mlflow_that_is_loaded_looks_again_whether_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    telemetry = SimpleNamespace(
        set_telemetry_client=lambda: seen.append(os.environ["MLFLOW_DISABLE_TELEMETRY"])
    )
    monkeypatch.setitem(sys.modules, "mlflow.telemetry", telemetry)
    session.start([])
    assert seen == ["true"]
    assert os.environ["DO_NOT_TRACK"] == "true"


def test_errors_become_sentences() -> None:
    before = sys.excepthook
    session.start([])
    assert sys.excepthook is not before


def test_run_without_a_name_is_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What viewers of MONAI Label send."""
    workflow = SimpleNamespace(run_id="", parser=ConfigParser({}))
    monkeypatch.setattr(session, "running_workflow", lambda: workflow)
    monkeypatch.setattr(session, "read_overrides", lambda *_: None)
    session.start([])
    assert workflow.run_id == "run"
    workflow.run_id = "training"
    session.start([])
    assert workflow.run_id == "training"


@pytest.mark.parametrize("device", [None, torch.device("cpu"), "cpu", "$torch.device('cuda:99')", "@device"])
def test_device_that_is_there_or_computed_passes(device: object) -> None:
    session.check_device(device)


@pytest.mark.case(44)
def test_device_that_is_not_there_is_a_missing_resource() -> None:
    with pytest.raises(ResourceError, match="got cuda:99, which cannot be used"):
        session.check_device("cuda:99")


def test_device_of_no_kind_is_wrong_input() -> None:
    with pytest.raises(InputError, match="such as cpu or cuda:0 for --device, got 'gpu'"):
        session.check_device("gpu")
