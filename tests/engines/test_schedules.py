"""The weight of the KL term, the seeds of an epoch, and the moment to stop."""

from __future__ import annotations

from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.transforms import Compose, RandFlip, RandGaussianNoise

from scripts.engines.schedules import EarlyStopping, EpochSeeds, EpochValidation, LossSchedule
from scripts.objectives.elbo import NegativeELBO
from scripts.objectives.lesion import LesionLoss
from tests.engines.toys import toy_run


@pytest.mark.parametrize(
    ("start", "end", "epochs", "expected"),
    [
        (0.1, 1.0, 3, [0.1, 0.4, 0.7, 1.0, 1.0]),
        (0.1, 1.0, 1, [0.1, 1.0, 1.0]),
        (0.1, 1.0, 0, [1.0, 1.0]),  # no warm-up
        (1.0, 1.0, 4, [1.0, 1.0]),
        (1.0, 0.5, 2, [1.0, 0.75, 0.5, 0.5]),  # a falling weight is a schedule too
    ],
)
def test_beta_rises_linearly_then_stays(start, end, epochs, expected) -> None:
    loss = NegativeELBO(beta=end, beta_start=start, beta_epochs=epochs)
    found = [loss.start_epoch(epoch)["beta"] for epoch in range(1, len(expected) + 1)]
    assert found == pytest.approx(expected)
    assert loss.beta == found[-1]


def test_a_loss_without_a_schedule_shows_nothing() -> None:
    assert LesionLoss().start_epoch(3) == {}


def test_beta_reaches_the_loss_and_the_metrics_before_the_first_batch() -> None:
    seen = []
    run = toy_run(lambda run: [LossSchedule(run.loss)], epochs=4)
    run.loss.beta_epochs = 2

    @run.trainer.on(Events.ITERATION_STARTED)
    def look(engine: Engine) -> None:
        seen.append(run.loss.beta)
        assert engine.state.metrics["beta"] == run.loss.beta

    run.trainer.run()
    assert seen == pytest.approx([0.1, 0.1, 0.55, 0.55, 1.0, 1.0, 1.0, 1.0])  # two batches an epoch


class Draws:
    """Everything random that an epoch of a training draws."""

    def __init__(self, seed: int = 0, rank: int = 0) -> None:
        self.generator = torch.Generator()
        self.transform = Compose([RandFlip(prob=0.5), RandGaussianNoise(prob=1.0)])
        self.seeds = EpochSeeds(seed, [self.generator], [self.transform], rank)

    def epoch(self, number: int) -> torch.Tensor:
        engine = Engine(lambda engine, batch: None)
        engine.state.epoch = number
        self.seeds(engine)
        noise = torch.as_tensor(self.transform(np.zeros((1, 4, 4), dtype=np.float32)))
        return torch.cat([torch.randn(8), torch.randn(8, generator=self.generator), noise.flatten()])


def test_draws_depend_on_seed_epoch_and_process_alone() -> None:
    first = Draws().epoch(3)
    other = Draws()
    other.epoch(1)
    other.epoch(2)
    assert torch.equal(first, other.epoch(3))
    for different in (Draws().epoch(4), Draws(seed=1).epoch(3), Draws(rank=1).epoch(3)):
        # Each of the three sources differs, not one of them.
        for part in (slice(0, 8), slice(8, 16), slice(16, None)):
            assert not torch.equal(first[part], different[part])


def test_large_seeds_and_epochs_are_fine() -> None:
    assert torch.isfinite(Draws(seed=2**31 - 1, rank=63).epoch(100_000)).all()


def test_every_new_iterator_of_the_data_loader_is_seeded_for() -> None:
    """The sampler draws once more when an epoch's iterator is drained; a resumed run has none to drain."""
    generator, states = torch.Generator(), []
    sampler = torch.utils.data.RandomSampler(range(5), generator=generator)
    loader = torch.utils.data.DataLoader(list(range(5)), batch_size=2, sampler=sampler, drop_last=True)
    engine = Engine(lambda engine, batch: states.append((engine.state.epoch, batch.tolist())))
    EpochSeeds(7, [generator]).attach(engine)
    engine.run(loader, max_epochs=3)
    # The same third epoch, without the two before it.
    again = []
    resumed = Engine(lambda engine, batch: again.append((engine.state.epoch, batch.tolist())))
    EpochSeeds(7, [generator]).attach(resumed)

    @resumed.on(Events.STARTED)
    def skip(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = 2, 4

    resumed.run(loader, max_epochs=3)
    assert again == [one for one in states if one[0] == 3]


@pytest.mark.parametrize(
    ("best", "epoch", "stops"), [(2, 4, False), (2, 5, True), (2, 9, True), (-1, 9, False)]
)
def test_early_stopping_needs_nothing_but_the_best_epoch(best, epoch, stops) -> None:
    """A fresh handler, as in a resumed run, decides as one that has seen the whole run would."""
    run = toy_run()
    run.evaluator.state.best_metric_epoch = best
    run.trainer.state.epoch = epoch
    EarlyStopping(run.evaluator, patience=3)(run.trainer)
    assert bool(run.trainer.should_terminate) is stops


@pytest.mark.parametrize(("epochs", "expected"), [(3, [3]), (5, [2, 4, 5]), (6, [2, 4, 6])])
def test_the_last_epoch_is_validated_whatever_the_interval(epochs, expected) -> None:
    trainer, validator = Engine(lambda *_: None), MagicMock(spec=Evaluator)
    EpochValidation(interval=2 if epochs > 3 else 20, validator=validator).attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert [one.args[0] for one in validator.run.call_args_list] == expected


def test_early_stopping_ends_a_training_without_progress() -> None:
    run = toy_run(lambda run: [EarlyStopping(run.evaluator, 2)], epochs=9, learning_rate=0.0)
    run.trainer.run()
    assert (run.evaluator.state.best_metric_epoch, run.trainer.state.epoch) == (1, 3)
