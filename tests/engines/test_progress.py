"""The bar a person watches: on a terminal, in a log, after a resume, after a finished run."""

from __future__ import annotations

import contextlib
import io
import logging

import pytest
from ignite.engine import Engine, Events

from scripts.engines.progress import EpochProgress
from tests.engines.toys import ToyRun, toy_run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_with_bar(resumed_epoch: int = 0, epochs: int = 3) -> ToyRun:
    run = toy_run(lambda run: [EpochProgress(epochs, run.evaluator)], epochs=epochs)

    @run.trainer.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = resumed_epoch, 2 * resumed_epoch

    return run


def shown_by(run: ToyRun, stream: io.StringIO) -> str:
    with contextlib.redirect_stderr(stream):
        run.trainer.run()
    return stream.getvalue()


def test_bar_shows_epochs_loss_and_validation() -> None:
    shown = shown_by(run_with_bar(), Terminal())
    assert "training: 0.0/3 epochs" in shown
    assert "training: 3.0/3 epochs" in shown
    last = shown.rstrip().split("\r")[-1]
    assert ", loss " in last
    assert ", elbo " in last
    assert "auroc" not in shown  # no abnormal slice: nothing to show, least of all nan
    assert ", ," not in shown


def test_epochs_without_a_validation_show_no_figure_of_an_earlier_one(caplog) -> None:
    run = toy_run(lambda run: [EpochProgress(4, run.evaluator)], epochs=4, interval=2)
    with caplog.at_level("INFO"):
        run.trainer.run()
    lines = [one.message for one in caplog.records if one.message.startswith("Epoch ")]
    assert ["elbo" in line for line in lines] == [False, True, False, True]


def test_bar_of_a_resumed_run_starts_where_the_run_does() -> None:
    parts = shown_by(run_with_bar(resumed_epoch=2), Terminal()).split("\r")
    shown = [part for part in parts if "training:" in part]
    assert shown[0].startswith("training: 2.0/3")
    assert shown[-1].startswith("training: 3.0/3")


def test_loss_is_a_running_mean_that_starts_at_the_first_loss() -> None:
    run = toy_run(epochs=2)
    progress = EpochProgress(2, run.evaluator)
    progress.attach(run.trainer)
    losses, means = [], []

    @run.trainer.on(Events.ITERATION_COMPLETED)
    def keep(engine: Engine) -> None:
        losses.append(float(engine.state.output["loss"]))
        means.append(progress.loss)

    run.trainer.run()
    assert means[0] == losses[0]
    assert means[1] == pytest.approx(0.9 * losses[0] + 0.1 * losses[1])


def test_a_finished_run_shows_no_bar() -> None:
    assert shown_by(run_with_bar(resumed_epoch=3), Terminal()) == ""


def test_a_log_gets_one_line_an_epoch(caplog) -> None:
    with caplog.at_level(logging.INFO, logger="scripts.engines.progress"):
        assert shown_by(run_with_bar(), io.StringIO()) == ""
    lines = [record.getMessage() for record in caplog.records if record.name == "scripts.engines.progress"]
    assert [line.split(":")[0] for line in lines] == [f"Epoch {epoch} of 3" for epoch in (1, 2, 3)]
    assert all("loss " in line and "elbo " in line for line in lines)
