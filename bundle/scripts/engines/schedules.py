"""What changes from epoch to epoch: the weight of the KL term, the random seeds, when to stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.transforms import Randomizable

from scripts.objectives.elbo import NegativeELBO

logger = logging.getLogger(__name__)


class BetaWarmUp:
    """Raise the KL weight linearly from ``start`` in the first epoch to ``end`` after ``epochs`` epochs.

    The paper starts at 0.1 and gives neither the end nor the length (section 3.3); beta = 1 is the true
    evidence lower bound.
    """

    def __init__(
        self, loss_function: NegativeELBO, start: float = 0.1, end: float = 1.0, epochs: int = 10
    ) -> None:
        self.loss_function = loss_function
        self.start, self.end, self.epochs = float(start), float(end), int(epochs)

    def beta(self, epoch: int) -> float:
        """Return the KL weight of an epoch, counted from 1."""
        if self.epochs < 1:
            return self.end
        return self.start + (self.end - self.start) * min(1.0, (epoch - 1) / self.epochs)

    def attach(self, engine: Engine) -> None:
        """Set the weight at the start of every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the weight and show it in the engine's metrics."""
        self.loss_function.beta = self.beta(engine.state.epoch)
        engine.state.metrics["beta"] = self.loss_function.beta


class EpochSeeds:
    """Seed every source of randomness at the start of an epoch, from the run's seed and the epoch alone.

    The random state is then a function of two stored numbers: a run resumed at an epoch's boundary draws
    what the uninterrupted run would have drawn. An engine that goes on from the epoch before first drains
    the old iterator of its data loader, which draws a permutation that a resumed run does not, so every
    new iterator is seeded for too.

    Args:
        seed: seed of the run.
        generators: generators to seed (the data loader's, say).
        transforms: MONAI transforms to seed (the augmentation).
        rank: process of a distributed run; processes draw differently.
    """

    def __init__(
        self,
        seed: int,
        generators: Sequence[torch.Generator] = (),
        transforms: Sequence[Randomizable] = (),
        rank: int = 0,
    ) -> None:
        self.seed, self.rank = int(seed), int(rank)
        self.generators, self.transforms = list(generators), list(transforms)

    def attach(self, engine: Engine) -> None:
        """Seed at the start of every epoch of ``engine``, and when its data loader starts anew."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)
        engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, self)

    def __call__(self, engine: Engine) -> None:
        """Seed torch, the generators and the transforms."""
        value = (self.seed * 1_000_003 + engine.state.epoch) * 1_009 + self.rank
        torch.manual_seed(value)
        for generator in self.generators:
            generator.manual_seed(value)
        for transform in self.transforms:
            transform.set_random_state(seed=value % 2**32)


class EarlyStopping:
    """Stop when the validation engine's key metric has not improved for ``patience`` epochs.

    Everything it needs is the evaluator's best epoch, which the training state keeps: a resumed run stops
    where the uninterrupted one would. (Ignite's and MONAI's handlers count on their own.) Attach it to the
    trainer after the validation handler.
    """

    def __init__(self, evaluator: Evaluator, patience: int) -> None:
        self.evaluator, self.patience = evaluator, int(patience)

    def attach(self, engine: Engine) -> None:
        """Look at the end of every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Stop the run if the best epoch lies too far back."""
        best = self.evaluator.state.best_metric_epoch
        if best > 0 and engine.state.epoch - best >= self.patience:
            logger.info(
                "No better validation since epoch %d: stopping after epoch %d.", best, engine.state.epoch
            )
            engine.terminate()
