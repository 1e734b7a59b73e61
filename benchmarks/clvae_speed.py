"""An epoch of CL-VAE training, ours and a plain PyTorch loop, over the same arrays."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from scripts.data.image_batches import ImageBatches
from scripts.engines.member_training import MemberTrainer, TrainingSettings
from scripts.engines.precision import has_fast_bfloat16
from scripts.networks.clvae import CLVAE, PUBLISHED_STACKS
from scripts.objectives.class_conditional import ClassConditionalLoss
from scripts.threads import one_core_threads

BATCH_SIZE, LEARNING_RATE = 128, 1e-3
MNIST_IMAGES = 54_000
"""About what an epoch has with one class held out and a tenth for validation."""


def make_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return random images of MNIST's shape (N, 1, 28, 28), labels of nine classes: speed needs no digits."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8), generator.integers(0, 9, count)


def plain_epoch(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Callable[[], None]:
    """Return an epoch as a tutorial writes it: float32, a data loader of tensors, Adam as it comes."""
    network, loss_function = _network(), ClassConditionalLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    dataset = TensorDataset(torch.from_numpy(images).float() / 255, torch.from_numpy(labels))
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)

    def run() -> None:
        network.train()
        for image, label in loader:
            output = network(image, torch.randn(len(image), network.latent_size))
            loss = loss_function(network, output, image, label).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def our_epoch(images: NDArray[np.uint8], labels: NDArray[np.int64], amp: bool) -> Callable[[], None]:
    """Return an epoch of the bundle's own trainer, as ``configs/clvae/train.yaml`` sets it up."""
    optimizer = functools.partial(torch.optim.Adam, lr=LEARNING_RATE, fused=True)
    trainer = MemberTrainer(_network(), TrainingSettings(optimizer, epochs=1, amp=amp))
    batches = ImageBatches(images, labels, BATCH_SIZE)

    def run() -> None:
        trainer.network.train()
        with one_core_threads(trainer.parts) as pool:
            for batch in batches.epoch(1):
                trainer.step(batch, pool)

    return run


def measure_epochs(count: int, repeats: int) -> dict[str, float]:
    """Run all variants in turns and return seconds of an MNIST epoch and ratios, with flat keys."""
    images, labels = make_images(count)
    variants = {"plain": plain_epoch(images, labels), "float32": our_epoch(images, labels, amp=False)}
    if has_fast_bfloat16():
        variants["bf16"] = our_epoch(images, labels, amp=True)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in tqdm(range(repeats), desc="CL-VAE epochs", unit="round"):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    # The first round warms up.
    medians = {
        name: statistics.median(values[1:] or values) * MNIST_IMAGES / count
        for name, values in seconds.items()
    }
    figures = {f"clvae_epoch_seconds_{name}": value for name, value in medians.items()}
    for name, value in medians.items():
        if name != "plain":
            figures[f"clvae_epoch_speedup_{name}"] = medians["plain"] / value
    # As the config runs it: bfloat16 where the processor multiplies it.
    best = "bf16" if "bf16" in medians else "float32"
    return figures | {"clvae_epoch_speedup_vs_plain": figures[f"clvae_epoch_speedup_{best}"]}


def _network() -> CLVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLVAE(9, stack=PUBLISHED_STACKS["mnist"])
