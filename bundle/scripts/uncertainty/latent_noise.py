"""The K latent draws of inference as data: one fixed buffer, so that inference is a function."""

from __future__ import annotations

import torch

from scripts.errors import InputError
from scripts.options import Option


class NoiseKind(Option):
    """How the K draws of the standard normal are made."""

    NORMAL = "normal"
    """Independent draws, the paper's."""
    ANTITHETIC = "antithetic"
    """Pairs e, -e (the mean of the draws is exactly 0 for even K), the last alone for odd K."""
    SOBOL = "sobol"
    """Scrambled Sobol points through the normal quantile function."""


def latent_noise(samples: int, latent_size: int, seed: int = 0, kind: str = NoiseKind.NORMAL) -> torch.Tensor:
    """Return ``(samples, latent_size)`` standard normal draws, the same for the same arguments.

    Raises:
        InputError: fewer than 1 sample.
    """
    if samples < 1:
        raise InputError(f"Expected at least 1 draw, got {samples}.")
    kind = NoiseKind(kind)
    generator = torch.Generator().manual_seed(seed)
    if kind is NoiseKind.NORMAL:
        return torch.randn(samples, latent_size, generator=generator)
    if kind is NoiseKind.ANTITHETIC:
        half = torch.randn((samples + 1) // 2, latent_size, generator=generator)
        return torch.stack((half, -half), dim=1).flatten(0, 1)[:samples]
    points = torch.quasirandom.SobolEngine(latent_size, scramble=True, seed=seed).draw(samples)
    return torch.special.ndtri(points.double().clamp(1e-6, 1 - 1e-6)).float()
