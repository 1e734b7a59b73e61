"""Simpler relatives of the Bayesian VAE, as baselines: what is not learned is fixed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scripts.networks.bayesian_vae import BayesianVAE

PIXEL_LOG_VARIANCE = -4.0
"""Fixed log variance of pixels, intensity^2: a deviation of 0.14, and training minimises squared errors."""


class FixedVarianceVAE(BayesianVAE):
    """A :class:`BayesianVAE` with one or both of its variances fixed.

    Both: a deterministic autoencoder. Pixels only: a plain VAE. Latent only, at a KL weight of 0: the
    one-pass AE-U (Mao et al., "Abnormality Detection in Chest X-Ray Images Using Uncertainty Prediction
    Autoencoders", MICCAI 2020). The weights are those of a BayesianVAE and load as such.

    Args:
        fixed_latent: fix the latent variance at its lowest: all draws are the latent mean.
        fixed_pixels: fix the variance of the pixels at exp(:data:`PIXEL_LOG_VARIANCE`).
        vae: arguments of :class:`VAEBackbone`.
    """

    def __init__(self, fixed_latent: bool = False, fixed_pixels: bool = False, **vae: Any) -> None:
        super().__init__(**vae)
        self.fixed = {"fixed_latent": fixed_latent, "fixed_pixels": fixed_pixels}
        if fixed_latent:
            _fix(self.to_latent_log_variance, self.log_variance_min)
        if fixed_pixels:
            _fix(self.log_variance_head, PIXEL_LOG_VARIANCE)


def _fix(layer: nn.Linear | nn.Conv2d, value: float) -> None:
    """Make a layer return ``value`` whatever its input, and leave it out of training."""
    torch.nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    torch.nn.init.constant_(layer.bias, value)
    layer.requires_grad_(False)
