"""The class-conditional evidence lower bound of the CL-VAE (arXiv 2410.12328, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from scripts.errors import InputError
from scripts.networks.clvae import CLVAE, CLVAEOutput, Prior
from scripts.objectives.elbo import kl_to_unit_normal


def centre_overlap(centres: torch.Tensor) -> torch.Tensor:
    """Return the mean overlap of two class priors, 0 to 1, of the centres (classes, latent).

    The Bhattacharyya coefficient of two Gaussians of unit covariance, exp(-distance^2 / 8).
    """
    if len(centres) < 2:
        return centres.new_zeros(())
    return torch.exp(-F.pdist(centres).square() / 8).mean()


class ClassConditionalLoss(nn.Module):
    """weight * cross-entropy summed over pixels + (1 - weight) * KL to the prior of the image's class.

    1/6 is what the paper trains CL-VAE with, and 1/2, the evidence lower bound up to a factor, what it
    trains the plain VAE with that it compares to: its KL term weighs a fifth of CL-VAE's. Give both models
    the same weight to compare the priors and nothing else.

    Args:
        reconstruction_weight: the weight, above 0 and below 1.
        repulsion: weight of :func:`centre_overlap`, for learned centres.
    """

    def __init__(self, reconstruction_weight: float = 1 / 6, repulsion: float = 1.0) -> None:
        super().__init__()
        if not 0 < reconstruction_weight < 1:
            raise InputError(f"Expected a reconstruction weight in (0, 1), got {reconstruction_weight}.")
        self.reconstruction_weight = float(reconstruction_weight)
        self.repulsion = float(repulsion)

    def terms(
        self, output: CLVAEOutput, image: torch.Tensor, centres: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cross-entropy and KL, each (B,) in nats, of images (B, C, H, W) and centres (B, latent)."""
        entropy = F.binary_cross_entropy_with_logits(output.logits.float(), image, reduction="none")
        kl = kl_to_unit_normal(output.mean.float(), output.log_variance.float(), centres)
        return entropy.flatten(1).sum(dim=1), kl

    def forward(
        self, network: CLVAE, output: CLVAEOutput, image: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss (B,) of ``output`` for images (B, C, H, W) with labels (B,)."""
        entropy, kl = self.terms(output, image, network.class_centres(labels))
        loss = self.reconstruction_weight * entropy + (1 - self.reconstruction_weight) * kl
        if network.arguments["prior"] == Prior.LEARNED:
            loss = loss + self.repulsion * centre_overlap(network.centres)
        return loss
