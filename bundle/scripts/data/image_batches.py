"""Batches of images that stay uint8 in memory and become [0, 1] when they are used."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

Batch = tuple[torch.Tensor, torch.Tensor]


class ImageBatches:
    """Iterates over shuffled batches of one epoch, the same for the same seed and epoch.

    One gather a batch instead of a data loader's work for every image; the last, smaller batch is kept.

    Args:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        batch_size: images in a batch.
        seed: of the order.
        device: where the images live, as uint8, and are scaled.
        shuffle: False keeps their order.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        batch_size: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        shuffle: bool = True,
    ) -> None:
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.from_numpy(labels).to(device)
        self.batch_size, self.seed, self.shuffle = int(batch_size), int(seed), shuffle

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield images (B, C, H, W) float32 in [0, 1] and labels (B,) of an epoch, counted from 1."""
        for rows in self._order(number).split(self.batch_size):
            image = self.images[rows].to(memory_format=torch.channels_last)
            yield image.float().div_(255), self.labels[rows]

    def _order(self, number: int) -> torch.Tensor:
        if not self.shuffle:
            return torch.arange(len(self.images), device=self.images.device)
        # Drawn on the CPU: the same order whatever the device.
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + number)
        return torch.randperm(len(self.images), generator=generator).to(self.images.device)
