"""Predictive variance of K decoded draws, split as in arXiv 2504.15562, eq. 10 to 12."""

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
