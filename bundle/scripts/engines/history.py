"""The training curve of a run: one row an epoch as CSV, and a picture of all."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ignite.distributed as idist
from ignite.engine import Events
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from monai.engines import Evaluator, Trainer
from torch.optim import Optimizer

from scripts.io.atomic import atomic_path, write_text

KEY_METRICS = ("val_ap_pixel", "val_elbo")
"""Columns that choose the weights; the first one that a run has."""

_RIGHT = {
    "val_auroc": "AUROC (dotted: chance)",
    "val_ap": "average precision",
    "val_ap_pixel": "average precision of pixels",
}


class History:
    """Keep one row of figures for every epoch in ``history.csv``, and draw them in ``training.png``.

    The picture is drawn anew after each validation and after the last epoch.
    A resumed run goes on with the rows of ``history.csv`` up to the epoch it continues from. Attach it to
    the trainer between the validation handler and the training state.

    Args:
        folder: the run's output folder.
        evaluator: the validation engine, whose metrics become columns.
        optimizer: whose learning rate is recorded.
        rank: process of a distributed run; all take part in the means, the first one writes.
    """

    def __init__(self, folder: str, evaluator: Evaluator, optimizer: Optimizer, rank: int = 0) -> None:
        self.folder = Path(folder)
        self.evaluator, self.optimizer, self.rank = evaluator, optimizer, int(rank)
        self.rows: list[dict[str, float]] | None = None
        self.sums: dict[str, float] = {}

    def attach(self, engine: Trainer) -> None:
        """Collect over every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _start(self, engine: Trainer) -> None:
        self.sums = {"iterations": 0.0}
        self.started = time.monotonic()
        self.learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.rows is None:
            # A run killed between the two files has a row that its state does not know yet.
            self.rows = [row for row in self._read() if row["epoch"] < engine.state.epoch]

    def _read(self) -> list[dict[str, float]]:
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        with path.open(newline="") as file:
            rows = [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]
        # The epoch stays a whole number: a resumed run writes the file that an uninterrupted one would.
        return [row | {"epoch": int(row["epoch"])} for row in rows]

    def _add(self, engine: Trainer) -> None:
        self.sums["iterations"] += 1
        for name, value in engine.state.output.items():
            if value.ndim == 0:
                self.sums[name] = self.sums.get(name, 0.0) + float(value)

    def _write(self, engine: Trainer) -> None:
        sums = {name: float(idist.all_reduce(value)) for name, value in self.sums.items()}
        if self.rank > 0:
            return
        row: dict[str, float] = {"epoch": engine.state.epoch}
        iterations = sums.pop("iterations")
        row |= {f"train_{name}": value / iterations for name, value in sums.items()}
        row["seconds"] = time.monotonic() - self.started
        row |= engine.state.metrics  # weights of the loss that change, see LossSchedule
        row["learning_rate"] = self.learning_rate
        validated = self.evaluator.state.epoch == engine.state.epoch
        if validated:
            metrics = self.evaluator.state.metrics
            row |= {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        rows = [*(self.rows or []), row]
        self.rows = rows
        self._write_csv(rows)
        if validated or engine.state.epoch == engine.state.max_epochs:
            self._write_figure(rows)

    def _write_csv(self, rows: list[dict[str, float]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.folder / "history.csv", buffer.getvalue())

    def _write_figure(self, rows: list[dict[str, float]]) -> None:
        figure = Figure(figsize=(10, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        if "train_lesion_loss" in rows[-1]:
            names = {"train_lesion_loss": "lesion, training", "train_reconstruction_loss": "slice, training"}
            _plot(left, rows, names)
            left.set_ylabel("loss: cross-entropy + Dice; nats per pixel")
        else:
            _plot(
                left,
                _with_bound(rows),
                {"train_elbo": "training ELBO", "val_elbo": "validation ELBO, normal slices"},
            )
            left.set_ylabel("nats per value, beta = 1")
        _mark_best(left, rows)
        _plot(right, rows, _RIGHT)
        right.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        right.set(ylim=(0, 1), ylabel="validation slices")
        for axis in (left, right):
            axis.set_xlabel("epoch")
            axis.set_xlim(0.5, rows[-1]["epoch"] + 0.5)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if not right.get_legend_handles_labels()[0]:
            right.text(0.5, 0.75, "no abnormal slices with a mask", transform=right.transAxes, ha="center")
        with atomic_path(self.folder / "training.png") as path:
            figure.savefig(path, dpi=110)


def _with_bound(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the rows with ``train_elbo``, which is larger when better, as the validation's: at beta = 1.

    A gap between the two that opens is overfitting. Where beta is 0 throughout there is no prior, and neither
    of them has a KL term.
    """
    has_prior = any(row.get("beta", 1.0) > 0 for row in rows)
    return [
        {**row, "train_elbo": -row["train_reconstruction_loss"] - has_prior * row["train_kl"]} for row in rows
    ]


def best_row(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """Return the row of the epoch whose weights are kept, None before the first validation."""
    for name in KEY_METRICS:
        validated = [row for row in rows if name in row]
        if validated:
            return max(validated, key=lambda row: row[name])
    return None


def _plot(axis: Axes, rows: list[dict[str, float]], names: dict[str, str]) -> None:
    for name, label in names.items():
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        if points:
            axis.plot(*zip(*points, strict=True), marker=".", label=label)
            axis.legend(frameon=False)


def _mark_best(axis: Axes, rows: list[dict[str, float]]) -> None:
    row = best_row(rows)
    if row is not None:
        label = f"weights kept: epoch {row['epoch']:.0f}"
        axis.axvline(row["epoch"], color="grey", linewidth=0.8, linestyle=":", label=label)
        axis.legend(frameon=False)
