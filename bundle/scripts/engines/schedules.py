"""What changes from epoch to epoch: the weights of the loss, the random seeds, when to validate and stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.handlers import ValidationHandler
from monai.transforms import Randomizable

from scripts.objectives.terms import TermsLoss

logger = logging.getLogger(__name__)


class LossSchedule:
    """Let a loss function set its weights at the start of every epoch, and show them in the metrics."""

    def __init__(self, loss_function: TermsLoss) -> None:
        self.loss_function = loss_function

    def attach(self, engine: Engine) -> None:
        """Act at the start of every epoch of ``engine``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the weights of the epoch that starts."""
        engine.state.metrics.update(self.loss_function.start_epoch(engine.state.epoch))


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


class EpochValidation(ValidationHandler):
    """Validate every ``interval`` epochs, and after the last one whatever the interval.

    MONAI's own would leave out the last epochs, at whose small learning rate the weights are best.
    """

    def attach(self, engine: Engine) -> None:
        """Validate at the end of epochs of ``engine``."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self._is_due), self)

    def _is_due(self, engine: Engine, epoch: int) -> bool:
        return epoch % self.interval == 0 or epoch == engine.state.max_epochs


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
