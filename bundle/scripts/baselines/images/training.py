"""The training loop that the network baselines share: Adam, stopped by the loss of the validation part."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_batches import ImageBatches
from scripts.errors import InputError, ModelError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes what the network returns (B, ...) and labels (B,), returns the mean over the batch."""


@dataclass(frozen=True)
class Training:
    """How a network is trained; the defaults are the paper's."""

    epochs: int = 50
    """At most."""
    patience: int = 3
    """Epochs without a better validation loss until training stops."""
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    device: str | torch.device = "cpu"

    def __post_init__(self) -> None:
        """Refuse counts below 1.

        Raises:
            InputError: there is one.
        """
        for name in ("epochs", "patience", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"Expected {name} of the training to be at least 1, got {getattr(self, name)}."
                )


def make_convolutions(channels: int, layers: Sequence[Sequence[int]], bias: bool = True) -> nn.Sequential:
    """Return 3 x 3 convolutions with ReLU, zero padded so that stride 1 keeps the size.

    Args:
        channels: of the image.
        layers: (channels, stride) of each convolution.
        bias: whether the convolutions have one.
    """
    modules: list[nn.Module] = []
    for width, stride in layers:
        modules += [nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias), nn.ReLU()]
        channels = width
    return nn.Sequential(*modules)


def train_network(
    network: nn.Module, loss: Loss, split: AnomalySplit, training: Training, seed: int = 0
) -> int:
    """Train in place and keep the weights of the epoch with the lowest validation loss.

    Args:
        network: takes (B, C, H, W) in [0, 1]; already on the device.
        loss: of its output.
        split: its training part is learned from, its validation part decides when to stop.
        training: how.
        seed: of the order of the images.

    Returns:
        Epochs trained, those after the best one included.

    Raises:
        ModelError: the validation loss is not finite.
    """
    optimizer = torch.optim.Adam(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    device = training.device
    train = ImageBatches(split.train_images, split.train_labels, training.batch_size, seed, device)
    validation = ImageBatches(
        split.validation_images, split.validation_labels, 512, device=device, shuffle=False
    )
    best, best_epoch, weights = math.inf, 0, network.state_dict()
    for epoch in range(1, training.epochs + 1):
        for images, labels in train.epoch(epoch):
            optimizer.zero_grad()
            loss(network(images), labels).backward()
            optimizer.step()
        value = _mean_loss(network, loss, validation)
        if not math.isfinite(value):
            raise ModelError(
                f"Expected a finite validation loss, got {value} in epoch {epoch}; lower the learning rate."
            )
        if value < best:
            best, best_epoch, weights = value, epoch, copy.deepcopy(network.state_dict())
        if epoch - best_epoch == training.patience:
            break
    network.load_state_dict(weights)
    return epoch


def count_parameters(network: nn.Module | None) -> int:
    """Return the number of trained values; 0 before there is a network."""
    return 0 if network is None else sum(one.numel() for one in network.parameters())


@torch.inference_mode()
def _mean_loss(network: nn.Module, loss: Loss, batches: ImageBatches) -> float:
    total = sum(len(images) * float(loss(network(images), labels)) for images, labels in batches.epoch(1))
    return total / len(batches.images)
