"""Train one CL-VAE: Adam, early stopping on inliers that are not trained on, the best epoch's weights."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping

from scripts.data.image_batches import Batch, ImageBatches
from scripts.errors import ModelError
from scripts.networks.clvae import CLVAE
from scripts.objectives.class_conditional import ClassConditionalLoss

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
        self.optimizer = settings.optimizer(network.parameters())
        self.noise = torch.Generator().manual_seed(seed)
        self.history: list[dict[str, Any]] = []
        self.best = _Best()
        self.total = torch.zeros((), device=self.device)
        self.started = 0.0

    def fit(self, training: ImageBatches, validation: ImageBatches) -> list[dict[str, Any]]:
        """Train until the validation loss stops falling; return the history."""
        engine = Engine(self._step)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish_epoch, validation, len(training))
        patience = self.settings.patience
        stopping = EarlyStopping(patience, lambda one: -one.state.metrics["validation_loss"], engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, stopping)
        # One endless iterator: Ignite would otherwise begin the second epoch's order before it is known.
        batches = itertools.chain.from_iterable(training.epoch(number) for number in itertools.count(1))
        engine.run(batches, max_epochs=self.settings.epochs, epoch_length=len(training))
        self.network.load_state_dict(self.best.weights)
        return self.history

    def _loss(self, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """Return the loss (B,) of a batch for one latent draw of each image."""
        image, labels = batch
        noise = torch.randn(len(image), self.network.latent_size, generator=generator).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp):
            output = self.network(image, noise)
        return self.loss_function(self.network, output, image, labels)

    def _step(self, engine: Engine, batch: Batch) -> None:
        loss = self._loss(batch, self.noise).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()

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
        losses = [self._loss(batch, generator) for batch in validation.epoch(1)]
        return float(torch.cat(losses).mean())
