"""One progress bar for a whole training, with the figures a person watches."""

from __future__ import annotations

import logging
import math

from ignite.engine import Events
from monai.engines import Evaluator, Trainer
from tqdm import tqdm

logger = logging.getLogger(__name__)

_SHOWN = ("val_elbo", "val_ap_pixel", "val_auroc")
_FORMAT = "{desc}: {n:.1f}/{total} epochs |{bar:20}| {elapsed} < {remaining}{postfix}"


class EpochProgress:
    """Show epochs done, time left, training loss and validation figures.

    On a terminal a bar moves with every batch; elsewhere every epoch logs a line.
    """

    def __init__(self, epochs: int, evaluator: Evaluator) -> None:
        self.epochs, self.evaluator = int(epochs), evaluator
        self.loss: float | None = None
        self.bar: tqdm | None = None

    def attach(self, engine: Trainer) -> None:
        """Follow ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._close_epoch)
        engine.add_event_handler(Events.COMPLETED, self._close)

    def _open(self, engine: Trainer) -> None:
        if self.bar is None:
            # Only now is it known which epoch a resumed run goes on from.
            self.bar = tqdm(
                total=self.epochs,
                initial=engine.state.epoch - 1,
                desc="training",
                unit="epoch",
                bar_format=_FORMAT,
                disable=None,
            )

    def _step(self, engine: Trainer) -> None:
        # A running mean: the loss of one batch says little.
        loss = float(engine.state.output["loss"])
        self.loss = loss if self.loss is None else 0.9 * self.loss + 0.1 * loss
        self._show(engine.state.iteration / engine.state.epoch_length, f"loss {self.loss:.3f}")

    def _close_epoch(self, engine: Trainer) -> None:
        validated = self.evaluator.state.epoch == engine.state.epoch
        metrics = self.evaluator.state.metrics if validated else {}
        known = [name for name in _SHOWN if math.isfinite(metrics.get(name, math.nan))]
        shown = ", ".join([f"loss {self.loss:.3f}", *(f"{name[4:]} {metrics[name]:.3f}" for name in known)])
        self._show(engine.state.epoch, shown)
        if self.bar is not None and self.bar.disable:
            logger.info("Epoch %d of %d: %s.", engine.state.epoch, self.epochs, shown)

    def _show(self, done: float, figures: str) -> None:
        if self.bar is not None and not self.bar.disable:
            self.bar.n = round(done, 2)
            self.bar.set_postfix_str(figures)

    def _close(self, engine: Trainer) -> None:
        if self.bar is not None:
            self.bar.close()
