"""The attention of every layer of a network on the slices of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from scripts.evaluation.attention_mass import attention_entropy
from scripts.networks.attention import SpatialAttention, spread_positions
from scripts.networks.backbone import Backbone

QUERIES = 512
"""Positions spread over a map whose attention is looked at; those on the background do not count."""


@dataclass(frozen=True)
class LayerAttention:
    """One attention layer on N slices."""

    name: str
    """Such as "encoder 2": the layer that the attention follows."""
    received: np.ndarray
    """(N, heads, g, g), the share of attention that each key receives; each head's sum is 1."""
    entropy: np.ndarray
    """(N, heads), 1 is even over all keys."""


def attention_of(
    network: Backbone, images: torch.Tensor, device: torch.device | str = "cpu", batch_size: int = 4
) -> list[LayerAttention]:
    """Return what each attention layer looks at, averaged over queries on the head.

    The decoder's is that of the latent mean.

    Args:
        network: with its weights.
        images: (N, C, H, W) slices, background 0.
        device: where the network runs.
        batch_size: slices at once.
    """
    network = network.to(device).eval()
    layers = attention_layers(network)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in layers}
    for batch in tqdm(images.split(batch_size), desc="attention", unit="batch", disable=None):
        with torch.no_grad(), _inputs_of(layers) as inputs:
            network.run_once(batch.to(device))
        head = (batch > 0).any(dim=1, keepdim=True).float()
        for name, layer in layers.items():
            parts[name].append(_received(layer, inputs[name], head))
    return [
        LayerAttention(name, *(np.concatenate(values) for values in zip(*found, strict=True)))
        for name, found in parts.items()
    ]


def attention_layers(network: Backbone) -> dict[str, SpatialAttention]:
    """Return the attention layers by the encoder or decoder layer that they follow, in order; maybe none."""
    found: dict[str, SpatialAttention] = {}
    if isinstance(coarsest := getattr(network, "attention", None), SpatialAttention):
        found["coarsest scale"] = coarsest
    for part in ("encoder", "decoder"):
        after = sorted(network.arguments.get(f"{part}_attention", ()))
        stack = getattr(network, part, nn.Sequential())
        modules = [module for module in stack if isinstance(module, SpatialAttention)]
        found |= {f"{part} {number}": module for number, module in zip(after, modules, strict=True)}
    return found


@contextmanager
def _inputs_of(layers: dict[str, SpatialAttention]) -> Iterator[dict[str, torch.Tensor]]:
    """Collect what goes into each layer while the block runs."""
    inputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
            inputs[name] = given[0]

        return hook

    handles = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _received(
    layer: SpatialAttention, image: torch.Tensor, head: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Return attention by key (B, heads, g, g) and entropy (B, heads), means over queries on the head."""
    weights = layer.attention_weights(image, QUERIES).double().cpu().numpy()
    inside = interpolate(head, image.shape[-2:], mode="area").flatten(1)
    chosen = spread_positions(inside.shape[1], QUERIES)
    share = inside[:, chosen].double().numpy()
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-9)
    side = round(weights.shape[-1] ** 0.5)
    received = np.einsum("bn,bhnk->bhk", share, weights)
    entropy = np.einsum("bn,bhn->bh", share, attention_entropy(weights))
    return received.reshape(*received.shape[:2], side, side), entropy
