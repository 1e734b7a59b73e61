"""The evidence lower bound with a heteroscedastic Gaussian likelihood (arXiv 2504.15562, eq. 6 to 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from monai.utils import CommonKeys

from scripts.objectives.terms import TermsLoss
from scripts.options import Option
from scripts.uncertainty.scores import scored_pixels


class LikelihoodRegion(Option):
    """Which pixels the likelihood covers."""

    FOREGROUND = "foreground"
    """Pixels of the head: background is exactly 0 by construction and holds nothing to explain."""
    IMAGE = "image"
    """Every pixel, the plain reading of the paper; log variances of the background run into the clamp."""


def gaussian_log_likelihood(
    image: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor, region: torch.Tensor | None = None
) -> torch.Tensor:
    """Return log N(image; mean, exp(log_variance)) in nats, summed over channels and pixels, (B,).

    Args:
        image: (B, C, H, W).
        mean: (B, C, H, W).
        log_variance: (B, C, H, W).
        region: (B, 1, H, W) boolean, pixels that count; None counts all.
    """
    density = -0.5 * (
        (image - mean).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi)
    )
    if region is not None:
        density = density * region
    return density.flatten(1).sum(dim=1)


def kl_to_unit_normal(
    mean: torch.Tensor, log_variance: torch.Tensor, centre: torch.Tensor | float = 0.0
) -> torch.Tensor:
    """Return KL(N(mean, exp(log_variance)) || N(centre, I)) in nats, summed over the last dimension.

    0.5 sum(variance + (mean - centre)^2 - 1 - log variance); all arguments broadcast to (..., latent).
    """
    return 0.5 * (log_variance.exp() + (mean - centre).square() - 1 - log_variance).sum(dim=-1)


class NegativeELBO(TermsLoss):
    """-(log p(x | z) - beta KL), per slice, divided by the number of values of a slice.

    Both terms are sums (over pixels; over latent dimensions) divided by the same constant C * H * W, so
    that ``beta = 1`` is the true evidence lower bound in nats per value and the learning rate does not
    depend on the image's size.

    The paper starts beta at 0.1 and gives neither the end nor the length of its warm-up (section 3.3).

    Args:
        region: which pixels the likelihood covers.
        beta: weight of the KL term after the warm-up.
        beta_start: weight in the first epoch.
        beta_epochs: length of the linear warm-up in epochs, 0 for none.
    """

    def __init__(
        self,
        region: str = LikelihoodRegion.FOREGROUND,
        beta: float = 1.0,
        beta_start: float = 0.1,
        beta_epochs: int = 0,
    ) -> None:
        super().__init__()
        self.region = LikelihoodRegion(region)
        self.beta = self.beta_end = float(beta)
        self.beta_start, self.beta_epochs = float(beta_start), int(beta_epochs)

    def start_epoch(self, epoch: int) -> dict[str, float]:
        """Set the KL weight of an epoch, counted from 1."""
        done = 1.0 if self.beta_epochs < 1 else min(1.0, (epoch - 1) / self.beta_epochs)
        self.beta = self.beta_start + (self.beta_end - self.beta_start) * done
        return {"beta": self.beta}

    def terms(
        self, output: tuple[torch.Tensor, ...], batch: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the terms of a batch, means over its slices in nats per value.

        Args:
            output: of the network: image mean and log variance, latent mean and log variance.
            batch: ``image`` (B, C, H, W).

        Returns:
            ``reconstruction_loss`` (negative log likelihood) and ``kl``.
        """
        image = batch[CommonKeys.IMAGE]
        mean, log_variance, latent_mean, latent_log_variance = (one.float() for one in output)
        region = scored_pixels(image, whole=False) if self.region is LikelihoodRegion.FOREGROUND else None
        values = image[0].numel()
        nll = -gaussian_log_likelihood(image, mean, log_variance, region) / values
        kl = kl_to_unit_normal(latent_mean, latent_log_variance) / values
        return {"reconstruction_loss": nll.mean(), "kl": kl.mean()}

    def total(self, terms: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch from its :meth:`terms`."""
        return terms["reconstruction_loss"] + self.beta * terms["kl"]
