"""What a run leaves on disk after every epoch, and how the next one takes it up."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.engines.history import History
from scripts.engines.schedules import EarlyStopping, EpochSeeds
from scripts.engines.training_state import TrainingState
from scripts.errors import InputError
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import VAEMapper
from tests.engines.toys import ToyRun, toy_network, toy_run


def run_with_state(
    folder: Path,
    patience: int = 99,
    rank: int = 0,
    fingerprint: dict[str, Any] | None = None,
    selection: dict[str, Any] | None = None,
    curve: bool = False,
    **settings: Any,
) -> ToyRun:
    """Return a run that keeps its state in ``folder``, and its curve (slow to draw) if asked to."""
    settings.setdefault("epochs", 3)
    return toy_run(
        lambda run: [
            EpochSeeds(0),
            EarlyStopping(run.evaluator, patience),
            *([History(str(folder), run.evaluator, run.optimizer)] if curve else []),
            TrainingState(
                str(folder),
                run.network,
                {"optimizer": run.optimizer},
                run.evaluator,
                fingerprint,
                selection,
                rank,
            ),
        ],
        **settings,
    )


def load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def stop_in(run: ToyRun, iteration: int) -> None:
    @run.trainer.on(Events.ITERATION_COMPLETED(once=iteration))
    def stop(engine: Engine) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.trainer.run()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of three epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    run_with_state(folder, curve=True).trainer.run()
    return folder


def assert_same_run(folder: Path, whole: Path) -> None:
    assert same(load(folder / "model.pt"), load(whole / "model.pt"))
    ours, theirs = load(folder / "resume.pt"), load(whole / "resume.pt")
    assert same(ours["network"], theirs["network"])
    for index, moments in theirs["parts"]["optimizer"]["state"].items():
        assert same(ours["parts"]["optimizer"]["state"][index], moments)
    assert torch.equal(ours["random_state"], theirs["random_state"])
    assert {name: ours[name] for name in ("epoch", "iteration", "best_metric", "best_metric_epoch")} == {
        name: theirs[name] for name in ("epoch", "iteration", "best_metric", "best_metric_epoch")
    }
    assert curve(folder) == curve(whole)
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}


@pytest.mark.parametrize(
    "iteration", [1, 2, 4, 6], ids=["before-any-state", "first-epoch-end", "middle", "last"]
)
def test_a_run_stopped_in_an_epoch_ends_as_if_it_had_not_been(tmp_path, whole, iteration) -> None:
    stop_in(run_with_state(tmp_path, curve=True), iteration)
    run_with_state(tmp_path, curve=True, network=toy_network(seed=9)).trainer.run()
    if iteration <= 2:  # nothing was saved yet, so the other initial weights were trained
        assert not same(load(tmp_path / "model.pt"), load(whole / "model.pt"))
    else:
        assert_same_run(tmp_path, whole)


@pytest.mark.usefixtures("fast_bfloat16")
def test_mixed_precision_and_dropout_continue_exactly_too(tmp_path) -> None:
    def start(name: str) -> ToyRun:
        return run_with_state(
            tmp_path / name, curve=True, epochs=2, amp=True, network=toy_network(dropout=0.3)
        )

    start("whole").trainer.run()
    stop_in(start("stopped"), 3)
    start("stopped").trainer.run()
    assert_same_run(tmp_path / "stopped", tmp_path / "whole")


@pytest.mark.parametrize("broken", ["model.pt", "resume.pt", "history.csv", "training.png"])
def test_a_run_stopped_while_saving_ends_as_if_it_had_not_been(tmp_path, whole, monkeypatch, broken) -> None:
    """Stopped in the second epoch, with the file half written under its temporary name."""
    run = run_with_state(tmp_path, curve=True)
    run.trainer.add_event_handler(
        Events.EPOCH_STARTED(once=2), lambda: monkeypatch.setattr("os.replace", interrupt_before(broken))
    )
    with pytest.raises(KeyboardInterrupt):
        run.trainer.run()
    monkeypatch.undo()
    assert load(tmp_path / "resume.pt")["epoch"] == 1
    run_with_state(tmp_path, curve=True).trainer.run()
    assert_same_run(tmp_path, whole)


def interrupt_before(name: str) -> Callable[[Path, Path], None]:
    def replace(source: Path, target: Path) -> None:
        if target.name == name:
            raise KeyboardInterrupt
        source.rename(target)

    return replace


def test_weights_of_the_best_validation_are_kept(tmp_path) -> None:
    run = run_with_state(tmp_path, epochs=4)
    weights, bounds = [], []

    def spoil() -> None:
        with torch.no_grad():
            run.network.mean_head.bias.add_(3.0)

    @run.trainer.on(Events.EPOCH_COMPLETED)
    def keep(engine: Engine) -> None:
        weights.append({name: value.clone() for name, value in run.network.state_dict().items()})
        bounds.append(run.evaluator.state.metrics["val_elbo"])

    run.trainer.add_event_handler(Events.EPOCH_STARTED(once=3), spoil)
    run.trainer.run()
    best = bounds.index(max(bounds))
    assert best == 1  # neither the first nor the last
    assert same(load(tmp_path / "model.pt"), weights[best])
    assert same(load(tmp_path / "resume.pt")["network"], weights[-1])


def test_best_epoch_of_before_outlives_a_worse_continuation(tmp_path) -> None:
    run = run_with_state(tmp_path, epochs=4)
    stop_in(run, 5)
    kept = (tmp_path / "model.pt").read_bytes()
    run = run_with_state(tmp_path, epochs=4)
    run.trainer.add_event_handler(Events.EPOCH_STARTED, lambda: run.network.mean_head.bias.data.add_(3.0))
    run.trainer.run()
    assert (tmp_path / "model.pt").read_bytes() == kept


def test_model_is_a_plain_state_dict_that_the_mapper_loads(whole) -> None:
    mapper = VAEMapper(2, **toy_network().arguments)
    load_weights(mapper, str(whole / "model.pt"))
    assert same(mapper.state_dict(), load(whole / "model.pt"))


def test_a_finished_run_trains_nothing_and_keeps_its_files(tmp_path) -> None:
    run_with_state(tmp_path).trainer.run()
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    run = run_with_state(tmp_path)
    run.trainer.add_event_handler(Events.ITERATION_STARTED, lambda: pytest.fail("trained"))
    run.trainer.run()
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_a_run_that_stopped_early_stays_stopped(tmp_path) -> None:
    run = run_with_state(tmp_path, patience=1, epochs=9, learning_rate=0.0)
    run.trainer.run()
    assert run.trainer.state.epoch == 2
    before = (tmp_path / "resume.pt").read_bytes()
    run = run_with_state(tmp_path, patience=1, epochs=9, learning_rate=0.0)
    run.trainer.add_event_handler(Events.ITERATION_STARTED, lambda: pytest.fail("trained"))
    run.trainer.run()
    assert (tmp_path / "resume.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ({"seed": 1}, {"seed": 2}, "expected a run with seed=2, found one with seed=1"),
        ({"seed": 1}, {}, "seed=unset, found one with seed=1"),
        ({}, {"processes": 2}, "processes=2, found one with processes=unset"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, first, second, named) -> None:
    run_with_state(tmp_path, fingerprint=first, epochs=1).trainer.run()
    before = (tmp_path / "resume.pt").read_bytes()
    run = run_with_state(tmp_path, fingerprint=second, epochs=1)
    with pytest.raises(InputError, match=named):
        run.trainer.run()
    assert (tmp_path / "resume.pt").read_bytes() == before


def test_what_chooses_the_weights_may_change_when_they_are_chosen(tmp_path) -> None:
    run = run_with_state(tmp_path, selection={"score": "lesion"})
    stop_in(run, iteration=3)  # in the second of three epochs
    other = {"score": "nll"}
    with pytest.raises(InputError, match="expected a run with score=nll, found one with score=lesion"):
        run_with_state(tmp_path, selection=other).trainer.run()
    run_with_state(tmp_path, selection={"score": "lesion"}).trainer.run()
    before = (tmp_path / "resume.pt").read_bytes()
    run_with_state(tmp_path, selection=other).trainer.run()
    assert (tmp_path / "resume.pt").read_bytes() == before


def test_another_network_is_refused_by_its_argument(tmp_path) -> None:
    run_with_state(tmp_path, epochs=1).trainer.run()
    with pytest.raises(InputError, match="dropout=0.1, found one with dropout=0.0"):
        run_with_state(tmp_path, epochs=1, network=toy_network(dropout=0.1)).trainer.run()


def test_settings_survive_the_file(tmp_path) -> None:
    """Lists, None and the network's tuples are still equal after a round through resume.pt."""
    settings = {"encoder": [2, 4], "key_grid": None, "norm": ["group", {"num_groups": 8}], "split": "ab12"}
    run_with_state(tmp_path, fingerprint=settings, epochs=1).trainer.run()
    run_with_state(tmp_path, fingerprint=settings, epochs=1).trainer.run()


def test_other_processes_load_but_never_write(tmp_path, whole) -> None:
    run = run_with_state(tmp_path, rank=1)
    run.trainer.run()
    assert list(tmp_path.iterdir()) == []
    run = run_with_state(whole, rank=1, network=toy_network(seed=9))
    run.trainer.run()
    assert same(run.network.state_dict(), load(whole / "resume.pt")["network"])


def test_what_a_killed_run_was_writing_is_removed_by_the_first_process(tmp_path) -> None:
    leftover = tmp_path / ".tmp-1234-abcd.pt"
    leftover.write_bytes(b"half a state")
    for rank, left in ((1, True), (0, False)):
        run = run_with_state(tmp_path, rank=rank, epochs=1)
        run.trainer.run()
        assert leftover.exists() is left


def test_a_state_that_holds_code_is_not_run(tmp_path) -> None:
    torch.save({"fingerprint": print}, tmp_path / "resume.pt")
    with pytest.raises(Exception, match="[Ww]eights.only"):
        run_with_state(tmp_path).trainer.run()
