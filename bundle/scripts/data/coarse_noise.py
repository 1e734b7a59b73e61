"""Coarse noise as a MONAI transform: what a denoising autoencoder learns to take away."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch.nn.functional import interpolate

CORRUPTED = "corrupted"
"""Key of the noisy image, beside the clean one."""


class AddCoarseNoised(RandomizableTransform, MapTransform):
    """Write ``corrupted``: the image with smooth noise on its foreground, coarse as lesions are.

    White noise on a grid of ``grid`` x ``grid``, enlarged linearly and shifted at random (Kascenas et al.,
    "Denoising Autoencoders for Unsupervised Anomaly Detection in Brain MRI", MIDL 2022).

    Args:
        keys: the one image, (C, X, Y), normalised, background exactly 0.
        deviation: standard deviation of the noise on its grid, normalised intensity.
        grid: side of the grid.
    """

    def __init__(self, keys: KeysCollection = "image", deviation: float = 0.2, grid: int = 16) -> None:
        RandomizableTransform.__init__(self, prob=1.0)
        MapTransform.__init__(self, keys)
        self.deviation, self.grid = float(deviation), int(grid)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with ``corrupted`` (C, X, Y)."""
        output = dict(data)
        self.randomize(None)
        image = torch.as_tensor(output[self.first_key(output)]).as_subclass(torch.Tensor)
        noise = self.R.normal(0, self.deviation, (1, len(image), self.grid, self.grid))
        smooth = interpolate(torch.from_numpy(noise).float(), image.shape[1:], mode="bilinear")[0]
        shifts = [int(self.R.randint(size)) for size in image.shape[1:]]
        smooth = torch.roll(smooth, shifts, dims=(1, 2))
        output[CORRUPTED] = image + smooth * (image > 0).any(dim=0)
        return output
