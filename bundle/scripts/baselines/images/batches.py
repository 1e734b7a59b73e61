"""uint8 images to scaled batches: the images stay bytes in memory, and only a batch at a time is floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.data.image_files import Images

_INFERENCE_BATCH = 512


def shuffled_batches(
    images: torch.Tensor, labels: torch.Tensor, size: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield all images once, in an order drawn from ``generator``.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,), on the same device.
        size: images in a batch; the last one may be smaller.
        generator: on the CPU, so that every device gets the same order.

    Yields:
        Images (B, C, H, W), float32 in [0, 1], and their labels (B,).
    """
    for rows in torch.randperm(len(images), generator=generator).to(images.device).split(size):
        yield images[rows].float().div_(255), labels[rows]


def map_batches(
    function: Callable[[torch.Tensor], torch.Tensor], images: Images, device: str | torch.device
) -> NDArray[np.float64]:
    """Apply a network to images, batch by batch and without gradients.

    Args:
        function: takes (B, C, H, W) float32 in [0, 1] on ``device``, returns (B, ...).
        images: (N, C, H, W) uint8, N at least 1.
        device: where ``function`` computes.

    Returns:
        (N, ...) float64.
    """
    with torch.inference_mode():
        parts = [
            function(batch.to(device).float().div_(255)).cpu()
            for batch in torch.from_numpy(np.ascontiguousarray(images)).split(_INFERENCE_BATCH)
        ]
    return torch.cat(parts).double().numpy()
