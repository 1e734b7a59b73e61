"""Predictive variance of K draws, split in two: Gaussians (arXiv 2504.15562, eq. 10 to 12), probabilities."""

from __future__ import annotations

import torch


def decompose(
    means: torch.Tensor, log_variances: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split the variance of K predicted Gaussians by the law of total variance.

    Args:
        means: (K, B, C, H, W) decoded means.
        log_variances: (K, B, C, H, W) decoded log variances.

    Returns:
        mean, epistemic and aleatoric variance, each (B, C, H, W): the mean over K of the means, their
        population variance, and the mean over K of exp(log variance). Sampling z is uncertainty about
        the latent, not about the weights; ``epistemic`` is the paper's word for it.
    """
    mean = means.mean(dim=0)
    # From deviations, not from E[m^2] - E[m]^2: that one cancels to rounding noise for close draws.
    epistemic = (means - mean).square().mean(dim=0)
    return mean, epistemic, log_variances.exp().mean(dim=0)


def decompose_bernoulli(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split the variance of a yes or no with K probabilities by the law of total variance.

    Args:
        probabilities: (K, B, 1, H, W), in [0, 1].

    Returns:
        probability, epistemic and aleatoric variance, each (B, 1, H, W): the mean over K, the population
        variance over K, and the mean of p (1 - p); the variances add up to that of the mean, at most 1/4.
    """
    mean = probabilities.mean(dim=0)
    epistemic = (probabilities - mean).square().mean(dim=0)
    return mean, epistemic, (probabilities * (1 - probabilities)).mean(dim=0)
