"""CL-VAE training: ours and a plain PyTorch loop over the same arrays; members in turn and as one batch."""

from __future__ import annotations

import copy
import functools
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from benchmarks.plain_clvae import PlainCLVAE
from scripts.data.image_batches import ImageBatches
from scripts.engines.member_training import MemberTrainer, TrainingSettings
from scripts.networks.clvae import CLVAE, PUBLISHED_STACKS
from scripts.networks.sphere import sphere_points
from scripts.precision import has_fast_bfloat16
from scripts.threads import one_core_threads

BATCH_SIZE, LEARNING_RATE = 128, 1e-3
MNIST_IMAGES = 54_000
"""About what an epoch has with one class held out."""

MEMBERS, MEMBER_BATCHES = 5, 4

Epoch = Callable[[], None]


def make_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return random images of MNIST's shape (N, 1, 28, 28), labels of nine classes: speed needs no digits."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8), generator.integers(0, 9, count)


def make_plain() -> PlainCLVAE:
    """Return the plain network with the centres of the published one."""
    return PlainCLVAE(torch.from_numpy(sphere_points(9, 2, 3.0)).float())


def plain_epoch(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Epoch:
    """Return an epoch as a tutorial writes it: float32, a data loader of tensors, Adam as it comes."""
    network = make_plain()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    dataset = TensorDataset(torch.from_numpy(images).float() / 255, torch.from_numpy(labels))
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True)

    def run() -> None:
        network.train()
        for image, label in loader:
            loss = network(image, label, torch.randn(len(image), 2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def our_epoch(images: NDArray[np.uint8], labels: NDArray[np.int64], amp: bool) -> Epoch:
    """Return an epoch of the bundle's own trainer, as ``configs/clvae/train.yaml`` sets it up."""
    optimizer = functools.partial(torch.optim.Adam, lr=LEARNING_RATE, fused=True)
    network = CLVAE(9, stack=PUBLISHED_STACKS["mnist"])
    trainer = MemberTrainer(network, TrainingSettings(optimizer, epochs=1, amp=amp))
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
    taken = _take_turns(variants, repeats, "CL-VAE epochs")
    medians = {name: seconds * MNIST_IMAGES / count for name, seconds in taken.items()}
    figures = {f"clvae_epoch_seconds_{name}": value for name, value in medians.items()}
    for name, value in medians.items():
        if name != "plain":
            figures[f"clvae_epoch_speedup_{name}"] = medians["plain"] / value
    # As the config runs it: bfloat16 where the processor multiplies it.
    best = "bf16" if "bf16" in medians else "float32"
    return figures | {"clvae_epoch_speedup_vs_plain": figures[f"clvae_epoch_speedup_{best}"]}


def measure_members(repeats: int) -> dict[str, float]:
    """Return how much faster the gradients of five members come as one batched computation than in turn."""
    images, labels = make_images(BATCH_SIZE * MEMBER_BATCHES)
    batches = [(image.float() / 255, label) for image, label in _split(images, labels)]
    members = [make_plain() for _ in range(MEMBERS)]
    stacked = {name: value.detach() for name, value in stack_module_state(list(members))[0].items()}
    skeleton = copy.deepcopy(members[0])

    def loss(weights: Mapping[str, torch.Tensor], *given: torch.Tensor) -> torch.Tensor:
        return functional_call(skeleton, dict(weights), given)

    gradients = vmap(grad(loss), in_dims=(0, None, None, 0))

    def batched() -> None:
        for image, label in batches:
            gradients(stacked, image, label, torch.randn(MEMBERS, len(image), 2))

    def in_turn() -> None:
        for member in members:
            for image, label in batches:
                value = member(image, label, torch.randn(len(image), 2))
                torch.autograd.grad(value, list(member.parameters()))

    taken = _take_turns({"batched": batched, "turn": in_turn}, repeats, "CL-VAE members")
    return {"clvae_batched_members_speedup": taken["turn"] / taken["batched"]}


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    parts = torch.from_numpy(images).split(BATCH_SIZE), torch.from_numpy(labels).split(BATCH_SIZE)
    return list(zip(*parts, strict=True))


def _take_turns(variants: Mapping[str, Epoch], repeats: int, name: str) -> dict[str, float]:
    """Return the median seconds of each variant; the first round, which warms up, is left out."""
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in tqdm(range(repeats), desc=name, unit="round"):
        for variant, run in variants.items():
            started = time.perf_counter()
            run()
            seconds[variant].append(time.perf_counter() - started)
    return {variant: statistics.median(values[1:] or values) for variant, values in seconds.items()}
