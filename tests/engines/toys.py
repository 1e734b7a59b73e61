"""Toy slices, a toy network and engines around them: a whole training in a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import DataLoader
from monai.handlers import ValidationHandler

from scripts.data.slices import SliceLabel
from scripts.engines.metrics import NormalELBO, SliceAUROC, SliceAveragePrecision
from scripts.engines.trainer import DrawEvaluator, DrawTrainer
from scripts.networks.bayesian_vae import BayesianVAE
from scripts.objectives.elbo import NegativeELBO
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.mappers import mapper_of

SIZE = 32


def toy_network(seed: int = 0, **arguments: Any) -> BayesianVAE:
    """Return a network for 32 x 32 slices with fixed initial weights."""
    settings: dict[str, Any] = {
        "image_size": SIZE,
        "channels": (8, 16),
        "latent_size": 4,
        "heads": 2,
        "encoder_attention": (1,),
        "decoder_attention": (1,),
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BayesianVAE(**settings | arguments)


def toy_images(count: int, seed: int = 0) -> torch.Tensor:
    """Return discs (count, 1, 32, 32) with a brighter spot somewhere; background 0, foreground in (0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc = ((rows - 16).square() + (columns - 16).square() < 144).float()
    images = []
    for row, column in torch.randint(10, 22, (count, 2), generator=generator):
        spot = torch.exp(-((rows - row).square() + (columns - column).square()) / 18.0)
        images.append(disc * (0.4 + 0.5 * spot))
    return torch.stack(images)[:, None]


def toy_slices(images: torch.Tensor, labels: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Return items as a slice data set gives them; every slice is normal unless ``labels`` says otherwise."""
    labels = [SliceLabel.NORMAL] * len(images) if labels is None else labels
    return [{"image": image, "label": label} for image, label in zip(images, labels, strict=True)]


@dataclass(frozen=True)
class ToyRun:
    """The parts of a toy training."""

    network: BayesianVAE
    loss: NegativeELBO
    optimizer: torch.optim.Optimizer
    evaluator: DrawEvaluator
    trainer: DrawTrainer


def toy_evaluator(
    mapper: AnomalyMapper, slices: list[dict[str, Any]], handlers: Sequence[Any] = (), amp: bool = False
) -> DrawEvaluator:
    """Return a validation engine with the three metrics of the training config."""
    return DrawEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(slices, batch_size=4),
        network=mapper,
        key_val_metric={"val_elbo": NormalELBO()},
        additional_metrics={
            "val_auroc": SliceAUROC("uncertainty_weighted", 0.5),
            "val_ap": SliceAveragePrecision("uncertainty_weighted", 0.5),
        },
        val_handlers=list(handlers),
        decollate=False,
        amp=amp,
    )


def toy_run(
    handlers: Callable[[ToyRun], Sequence[Any]] = lambda run: (),
    epochs: int = 2,
    learning_rate: float = 1e-3,
    amp: bool = False,
    interval: int = 1,
    validation: list[dict[str, Any]] | None = None,
    network: BayesianVAE | None = None,
) -> ToyRun:
    """Return a training of 16 slices, validated every ``interval`` epochs, then the given handlers."""
    network = toy_network() if network is None else network
    slices = toy_slices(toy_images(4, seed=1)) if validation is None else validation
    evaluator = toy_evaluator(mapper_of(network, samples=2), slices, amp=amp)
    loss, optimizer = NegativeELBO(), torch.optim.AdamW(network.parameters(), learning_rate)
    trainer = DrawTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(toy_slices(toy_images(16)), batch_size=8),
        network=network,
        loss_function=loss,
        optimizer=optimizer,
        train_handlers=[ValidationHandler(interval, evaluator)],
        decollate=False,
        amp=amp,
    )
    run = ToyRun(network, loss, optimizer, evaluator, trainer)
    for handler in handlers(run):
        handler.attach(trainer)
    torch.manual_seed(0)
    return run
