"""Anomaly scores as functions of (image, mean, uncertainty), pixel by pixel and slice by slice."""

from __future__ import annotations

import torch

from scripts.options import Option

EPSILON = 1e-8
"""Added to the total variance before dividing by it (the paper's value), intensity^2."""


class Score(Option):
    """What the anomaly map shows."""

    UNCERTAINTY_WEIGHTED = "uncertainty_weighted"
    """(x - mean)^2 / (total + epsilon): the paper's A_pixel (eq. 13), no unit."""
    SQUARED_ERROR = "squared_error"
    """(x - mean)^2, intensity^2."""
    NLL = "nll"
    """Half of log(total) + (x - mean)^2 / total: the Gaussian surprise without its constant, nats."""
    PRODUCT = "product"
    """(x - mean)^2 * total, intensity^4: what "anomalies raise uncertainty" would suggest."""


SCORE_CODES = {score: code for code, score in enumerate(Score)}
"""Plain integers for the scripted module, which cannot hold an enum."""


def pixel_score(code: int, squared_error: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return the anomaly map for a code of :data:`SCORE_CODES`; all tensors (B, C, H, W)."""
    variance = total + 1e-8
    if code == 0:
        return squared_error / variance
    if code == 1:
        return squared_error
    if code == 2:
        return 0.5 * (torch.log(variance) + squared_error / variance)
    return squared_error * variance


def foreground_mean(values: torch.Tensor, foreground: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``values`` (B, C, H, W) over ``foreground`` (B, 1, H, W), (B,); 0 if it is empty."""
    weights = foreground.expand_as(values).to(values.dtype)
    total = (values * weights).flatten(1).sum(dim=1)
    return total / weights.flatten(1).sum(dim=1).clamp(min=1)


def slice_score(
    image: torch.Tensor, reconstruction: torch.Tensor, anomaly: torch.Tensor, alpha: float
) -> torch.Tensor:
    """Return A = alpha * mean((x - mean)^2) + (1 - alpha) * mean(A_pixel) of each slice, (B,).

    The paper's eq. 14, with means over the foreground: on the background, log variances of -20 would
    make A_pixel explode.

    Args:
        image: (B, C, H, W) normalised, background 0.
        reconstruction: (B, C, H, W).
        anomaly: (B, 1, H, W) pixel scores.
        alpha: weight of the plain squared error, 0 to 1.
    """
    foreground = (image > 0).any(dim=1, keepdim=True)
    error = foreground_mean((image - reconstruction).square(), foreground)
    return alpha * error + (1 - alpha) * foreground_mean(anomaly, foreground)
