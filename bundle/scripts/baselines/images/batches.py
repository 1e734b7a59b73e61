"""A network applied to images that stay bytes in memory: only a batch at a time is floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.data.image_files import Images

_INFERENCE_BATCH = 512


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
