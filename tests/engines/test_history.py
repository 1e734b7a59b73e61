"""The training curve: rows, files, and what a resumed run makes of them."""

from __future__ import annotations

import csv
import math
from itertools import pairwise
from pathlib import Path

import pytest
from ignite.engine import Engine, Events
from PIL import Image

from scripts.engines.collapse_monitor import CollapseMonitor
from scripts.engines.history import History, _with_bound, best_row
from scripts.engines.schedules import LossSchedule
from tests.engines.toys import ToyRun, toy_images, toy_run, toy_slices


def history_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def run_with_history(folder: Path, **settings) -> ToyRun:
    run = toy_run(
        lambda run: [LossSchedule(run.loss), History(str(folder), run.evaluator, run.optimizer)],
        **settings,
    )
    run.loss.beta_epochs = 2
    CollapseMonitor(run.network).attach(run.evaluator)
    return run


def test_one_row_an_epoch_with_validation_from_the_first(tmp_path) -> None:
    run = run_with_history(tmp_path, validation=toy_slices(toy_images(4, 1), [0, 0, 1, 1]))
    losses: list[float] = []
    run.trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: losses.append(float(e.state.output["loss"]))
    )
    run.trainer.run()
    rows = history_of(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["train_loss"]) for row in rows] == pytest.approx(
        [sum(losses[:2]) / 2, sum(losses[2:]) / 2]
    )
    assert [float(row["beta"]) for row in rows] == pytest.approx([0.1, 0.55])
    for row in rows:
        terms = float(row["train_reconstruction_loss"]) + float(row["beta"]) * float(row["train_kl"])
        assert float(row["train_loss"]) == pytest.approx(terms, rel=1e-5)
    columns = "seconds val_elbo val_auroc val_ap kl_nats latent_deviation epistemic_share attention_entropy"
    for name in columns.split():
        assert all(math.isfinite(float(row[name])) for row in rows)


def test_learning_rate_is_the_one_the_epoch_was_trained_with(tmp_path) -> None:
    run = run_with_history(tmp_path)

    def halve(engine: Engine) -> None:
        run.optimizer.param_groups[0]["lr"] *= 0.5

    # As a schedule does, after the epoch and before the row is written.
    run.trainer._event_handlers[Events.EPOCH_COMPLETED].insert(0, (halve, (run.trainer,), {}))
    run.trainer.run()
    assert [float(row["learning_rate"]) for row in history_of(tmp_path)] == pytest.approx([1e-3, 5e-4])


def test_epochs_without_validation_have_no_validation_figures(tmp_path) -> None:
    run_with_history(tmp_path, epochs=3, interval=2).trainer.run()
    assert [bool(row["val_elbo"]) for row in history_of(tmp_path)] == [False, True, False]


def test_missing_metrics_are_left_out(tmp_path) -> None:
    run_with_history(tmp_path).trainer.run()  # no abnormal slice: no AUROC
    assert "val_auroc" not in history_of(tmp_path)[0]
    assert "val_elbo" in history_of(tmp_path)[0]


def test_a_resumed_run_keeps_earlier_rows_to_the_letter_and_drops_later_ones(tmp_path) -> None:
    run_with_history(tmp_path, epochs=3).trainer.run()
    before = (tmp_path / "history.csv").read_text().splitlines()
    run = run_with_history(tmp_path, epochs=3)

    @run.trainer.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        # Killed after the row of epoch 2 was written and before its state was: epoch 2 comes again.
        engine.state.epoch, engine.state.iteration = 1, 2

    run.trainer.run()
    after = (tmp_path / "history.csv").read_text().splitlines()
    assert after[:2] == before[:2]
    assert [line.split(",")[0] for line in after] == ["epoch", "1", "2", "3"]


def test_only_the_first_process_writes(tmp_path) -> None:
    run = toy_run(lambda run: [History(str(tmp_path), run.evaluator, run.optimizer, rank=1)])
    run.trainer.run()
    assert list(tmp_path.iterdir()) == []


def test_picture_of_the_curve_is_written(tmp_path) -> None:
    run_with_history(tmp_path, validation=toy_slices(toy_images(4, 1), [0, 0, 1, 1])).trainer.run()
    with Image.open(tmp_path / "training.png") as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(maxcolors=100_000)) > 10  # curves, not an empty frame
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "training.png"]


def test_picture_is_drawn_after_validations_and_at_the_end(tmp_path) -> None:
    run, picture = run_with_history(tmp_path, epochs=4, interval=2), tmp_path / "training.png"
    pictures: list[bytes] = []

    @run.trainer.on(Events.EPOCH_STARTED | Events.COMPLETED)
    def keep(engine: Engine) -> None:
        pictures.append(picture.read_bytes() if picture.exists() else b"")

    run.trainer.run()
    assert [before != after for before, after in pairwise(pictures)] == [False, True, False, True]
    run_with_history(tmp_path, epochs=5, interval=2).trainer.run()
    assert picture.read_bytes() != pictures[-1]


@pytest.mark.parametrize(("beta", "expected"), [(0.0, [-2.0, -1.0]), (0.5, [-5.0, -4.0])])
def test_the_training_bound_has_a_kl_term_where_there_is_a_prior(beta, expected) -> None:
    rows = [
        {"train_reconstruction_loss": loss, "train_kl": 3.0, "beta": weight}
        for loss, weight in ((2.0, 0.0), (1.0, beta))
    ]
    assert [row["train_elbo"] for row in _with_bound(rows)] == expected


def test_weights_kept_are_those_of_the_highest_of_the_first_key_metric() -> None:
    rows = [
        {"epoch": 1, "val_ap_pixel": 0.2, "val_elbo": 9.0},
        {"epoch": 2},
        {"epoch": 3, "val_ap_pixel": 0.4, "val_elbo": 1.0},
    ]
    assert best_row(rows) == rows[2]
    assert best_row([{"epoch": 1, "val_elbo": -2.0}, {"epoch": 2, "val_elbo": -1.0}])["epoch"] == 2
    assert best_row([{"epoch": 1}]) is None
