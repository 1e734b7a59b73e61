"""Train one CL-VAE: Adam, early stopping on inliers that are not trained on, the best epoch's weights."""

from __future__ import annotations

import copy
import functools
import itertools
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping

from scripts.data.image_batches import Batch, ImageBatches
from scripts.errors import ModelError
from scripts.networks.clvae import CLVAE
from scripts.objectives.class_conditional import ClassConditionalLoss
from scripts.precision import autocast
from scripts.threads import one_core_threads

OptimizerFactory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


@dataclass
class TrainingSettings:
    """How a member is trained.

    Attributes:
        optimizer: makes the optimiser of parameters.
        reconstruction_weight: see :class:`ClassConditionalLoss`.
        repulsion: see :class:`ClassConditionalLoss`.
        epochs: at most.
        patience: epochs without a better validation loss after which training ends.
        batch_size: images in a step.
        device: where.
        amp: bfloat16 where it is safe.
    """

    optimizer: OptimizerFactory
    reconstruction_weight: float = 1 / 6
    repulsion: float = 1.0
    epochs: int = 50
    patience: int = 3
    batch_size: int = 128
    device: torch.device | str = "cpu"
    amp: bool = False


@dataclass
class _Best:
    loss: float = float("inf")
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


class MemberTrainer:
    """An Ignite engine for one network. ``history`` has one row an epoch.

    Args:
        network: is trained in place and ends with the weights of its best epoch.
        settings: how.
        seed: of the order and of the latent draws.
        follow: called after every epoch with its row, for a progress bar.
    """

    def __init__(
        self,
        network: CLVAE,
        settings: TrainingSettings,
        seed: int = 0,
        follow: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.device = torch.device(settings.device)
        # PyTorch's own annotation leaves this argument out.
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.settings, self.seed, self.follow = settings, seed, follow
        self.loss_function = ClassConditionalLoss(settings.reconstruction_weight, settings.repulsion)
        self.parts = torch.get_num_threads() if self.device.type == "cpu" else 1
        self.optimizer = settings.optimizer(network.parameters())
        self.noise = torch.Generator().manual_seed(seed)
        self.history: list[dict[str, Any]] = []
        self.best = _Best()
        self.total = torch.zeros((), device=self.device)
        self.started = 0.0

    def fit(self, training: ImageBatches, validation: ImageBatches) -> list[dict[str, Any]]:
        """Train until the validation loss stops falling; return the history."""
        engine = Engine(lambda _, batch: self.step(batch, self.pool))
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch, validation, len(training))
        patience = self.settings.patience
        stopping = EarlyStopping(patience, lambda one: -one.state.metrics["validation_loss"], engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, stopping)
        # One endless iterator: Ignite would otherwise begin the second epoch's order before it is known.
        batches = itertools.chain.from_iterable(training.epoch(number) for number in itertools.count(1))
        with one_core_threads(self.parts) as self.pool:
            engine.run(batches, max_epochs=self.settings.epochs, epoch_length=len(training))
        self.network.load_state_dict(self.best.weights)
        return self.history

    def step(self, batch: Batch, pool: Executor) -> None:
        """Train on one batch: each thread of the pool finds the gradients of a part."""
        count = len(batch[0])
        tensors = (*batch, self._draw(batch[0], self.noise))
        parts = zip(*(one.tensor_split(min(self.parts, count)) for one in tensors), strict=True)
        found = list(pool.map(lambda part: self._gradients(part, count), parts))
        for parameter, *gradients in zip(self.network.parameters(), *(one[1] for one in found), strict=True):
            # In the order of the parts, whichever thread was first: the same sum every time.
            parameter.grad = functools.reduce(torch.Tensor.add_, gradients)
        self.optimizer.step()
        self.total += torch.stack([one[0] for one in found]).sum()

    def _gradients(
        self, part: tuple[torch.Tensor, ...], count: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Return the part's share of the mean loss over ``count`` images, and its gradients.

        Args:
            part: images, labels and noise.
            count: images of the whole batch.
        """
        image, labels, noise = part
        loss = self._loss(image, labels, noise).sum() / count
        return loss.detach(), torch.autograd.grad(loss, list(self.network.parameters()))

    def _draw(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return latent noise (B, latent), drawn on the CPU: the same whatever the device."""
        return torch.randn(len(image), self.network.latent_size, generator=generator).to(self.device)

    def _loss(self, image: torch.Tensor, labels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the loss (B,) of images for one latent draw of each."""
        with autocast(self.device, self.settings.amp):
            output = self.network(image, noise)
        return self.loss_function(self.network, output, image, labels)

    def _start_epoch(self, _: Engine) -> None:
        self.network.train()
        self.total.zero_()
        self.started = time.perf_counter()

    def _finish_epoch(self, engine: Engine, validation: ImageBatches, batches: int) -> None:
        loss = self.validate(validation)
        trained = float(self.total) / batches
        row = {"epoch": engine.state.epoch, "train_loss": trained, "validation_loss": loss}
        if not torch.isfinite(torch.tensor([trained, loss])).all():
            raise ModelError(f"Expected finite losses, got {row}; lower --learning_rate or set --amp false.")
        engine.state.metrics.update(row)
        self.history.append({**row, "seconds": time.perf_counter() - self.started})
        if loss < self.best.loss:
            self.best = _Best(loss, copy.deepcopy(self.network.state_dict()))
        if self.follow is not None:
            self.follow(self.history[-1])

    @torch.inference_mode()
    def validate(self, validation: ImageBatches) -> float:
        """Return the mean loss of the validation images, for the same latent draws every time."""
        self.network.eval()
        generator = torch.Generator().manual_seed(self.seed)
        losses = [
            self._loss(image, labels, self._draw(image, generator)) for image, labels in validation.epoch(1)
        ]
        return float(torch.cat(losses).mean())
