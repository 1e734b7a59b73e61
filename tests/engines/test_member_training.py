import functools

import numpy as np
import pytest
import torch

from scripts.data.image_batches import ImageBatches
from scripts.engines.member_training import MemberTrainer, TrainingSettings
from scripts.errors import ModelError
from scripts.networks.clvae import CLVAE

GENERATOR = np.random.default_rng(0)
LABELS = np.arange(96) % 3
IMAGES = np.clip(GENERATOR.normal(80 * LABELS[:, None, None, None], 20, (96, 1, 8, 8)), 0, 255).astype(
    np.uint8
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(seed=0, learning_rate=0.01, follow=None, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CLVAE(3, image_size=8, stack=[(4, 2)])
    optimizer = functools.partial(torch.optim.Adam, lr=learning_rate)
    settings = {"epochs": 4, "batch_size": 20, **settings}
    trainer = MemberTrainer(network, TrainingSettings(optimizer, **settings), seed, follow)
    training = ImageBatches(IMAGES[:80], LABELS[:80], settings["batch_size"], seed)
    trainer.fit(training, ImageBatches(IMAGES[80:], LABELS[80:], 16, shuffle=False))
    return trainer


def weights_of(trainer):
    return torch.cat([one.flatten() for one in trainer.network.parameters()])


def test_losses_fall_and_every_epoch_has_a_row():
    followed = []
    history = train(epochs=6, follow=followed.append).history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_loss"] < 0.9 * history[0]["train_loss"]
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert followed == history


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    first, again, other = train(), train(), train(seed=1)
    assert torch.equal(weights_of(first), weights_of(again))
    assert not torch.equal(weights_of(first), weights_of(other))


def test_the_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_training_ends_after_its_patience_with_the_weights_of_the_best_epoch():
    # A rate so high that the loss soon rises again.
    trainer = train(learning_rate=0.3, epochs=40, patience=2)
    losses = [row["validation_loss"] for row in trainer.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 2 < 40
    validation = ImageBatches(IMAGES[80:], LABELS[80:], 16, shuffle=False)
    assert trainer.validate(validation) == pytest.approx(losses[best], rel=1e-6)


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(ModelError, match="finite losses.*--learning_rate"):
        train(learning_rate=1e20)


@pytest.mark.usefixtures("fast_bfloat16")
def test_mixed_precision_trains_alike():
    exact, mixed = train(epochs=6).history, train(epochs=6, amp=True).history
    assert mixed[-1]["validation_loss"] == pytest.approx(exact[-1]["validation_loss"], rel=0.05)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_a_batch_and_give_the_same_training(threads):
    alone = train(epochs=3)
    torch.set_num_threads(threads)
    shared, again = train(epochs=3), train(epochs=3)
    assert torch.get_num_threads() == threads
    assert shared.parts == threads
    assert torch.equal(weights_of(shared), weights_of(again))
    torch.testing.assert_close(weights_of(shared), weights_of(alone), rtol=1e-3, atol=1e-4)


def test_a_batch_smaller_than_the_threads_is_trained_on():
    torch.set_num_threads(4)
    # Batches of 26: the last one has two images.
    assert len(train(epochs=1, batch_size=26).history) == 1
