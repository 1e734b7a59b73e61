from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from scripts.baselines.images.batches import map_batches
from scripts.baselines.images.training import Training, _mean_loss, make_convolutions, train_network
from scripts.data.image_batches import ImageBatches
from scripts.errors import InputError, ModelError


def test_map_batches_scales_and_joins(monkeypatch):
    images = np.random.default_rng(0).integers(256, size=(1100, 1, 2, 2), dtype=np.uint8)
    sums = map_batches(lambda batch: batch.sum(dim=(1, 2, 3)), images, "cpu")
    assert sums.dtype == np.float64
    np.testing.assert_allclose(sums, images.reshape(1100, -1).sum(axis=1) / 255, rtol=1e-6)


class Offset(nn.Module):
    """One weight, so that the course of the loss is known."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        return images.mean(dim=(1, 2, 3)) * 0 + self.value


def test_training_stops_after_epochs_without_improvement_and_keeps_the_best_weights(split):
    # The training labels pull the weight up without end, the validation labels want it to be 0.5.
    train, validation = np.full(256, 2), np.full(40, 0)
    part = dataclasses.replace(
        split,
        train_images=split.train_images[:256],
        train_labels=train,
        validation_images=split.validation_images[:40],
        validation_labels=validation,
    )
    seen = []

    def loss(outputs, labels):
        target = torch.where(labels == 2, 10.0, 0.5)
        value = (outputs - target).square().mean()
        if labels[0] == 0:
            seen.append((float(value), float(outputs[0])))
        return value

    network = Offset()
    epochs = train_network(network, loss, part, Training(learning_rate=0.1, patience=4))
    losses = [value for value, _ in seen]
    best = int(np.argmin(losses))
    assert epochs == len(seen) == best + 1 + 4
    assert best > 0
    assert network.value.item() == seen[best][1]


def test_the_validation_loss_is_the_mean_over_images_and_not_over_batches():
    images, labels = np.zeros((700, 1, 2, 2), dtype=np.uint8), np.repeat((0, 1), (512, 188))
    batches = ImageBatches(images, labels, 512, shuffle=False)
    mean = _mean_loss(Offset(), lambda outputs, labels: (outputs + labels).mean(), batches)
    assert mean == pytest.approx(188 / 700)


def test_the_order_of_images_comes_from_the_seed(split):
    def order(seed):
        seen = []

        def loss(outputs, labels):
            seen.append(labels.tolist())
            return outputs.mean()

        train_network(Offset(), loss, split, Training(epochs=1), seed)
        return seen

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_weight_decay_pulls_weights_to_zero(split):
    network = Offset()
    network.value.data.fill_(1)
    train_network(
        network, lambda outputs, _: 0 * outputs.mean(), split, Training(epochs=1, weight_decay=1e-3)
    )
    assert 0.9 < network.value.item() < 1


def test_the_last_epoch_is_the_last(split):
    network = Offset()
    epochs = train_network(
        network, lambda outputs, labels: (outputs - 9).square().mean(), split, Training(epochs=2)
    )
    assert epochs == 2


def test_a_loss_that_is_no_number_is_an_error(split):
    with pytest.raises(ModelError, match="finite validation loss, got nan in epoch 1"):
        train_network(Offset(), lambda outputs, labels: outputs.mean() * torch.nan, split, Training())


@pytest.mark.parametrize("name", ["epochs", "patience", "batch_size"])
def test_a_count_below_one_is_refused(name):
    with pytest.raises(InputError, match=f"Expected {name} of the training to be at least 1, got 0"):
        Training(**{name: 0})


def test_a_stride_of_one_keeps_the_size():
    convolutions = make_convolutions(3, ((4, 1), (5, 2)), bias=False)
    assert convolutions(torch.zeros(1, 3, 7, 8)).shape == (1, 5, 4, 4)
    assert sum(parameter.numel() for parameter in convolutions.parameters()) == 9 * (3 * 4 + 4 * 5)
