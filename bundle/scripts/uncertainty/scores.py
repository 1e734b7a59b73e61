"""Anomaly scores as functions of (image, mean, uncertainty), pixel by pixel and slice by slice."""

from __future__ import annotations

import torch
import torch.nn.functional as F

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
    LESION = "lesion"
    """Probability of a lesion, 0 to 1: of networks that learned it from painted lesions only."""


UNITS = {
    Score.UNCERTAINTY_WEIGHTED: "no unit",
    Score.SQUARED_ERROR: "intensity²",
    Score.NLL: "nats",
    Score.PRODUCT: "intensity⁴",
    Score.LESION: "probability",
}
"""Intensities are the normalised ones."""

RECONSTRUCTION_SCORES: tuple[Score, ...] = tuple(score for score in Score if score is not Score.LESION)
"""Scores that need no more than a reconstruction and its variance."""

PEAK_SIDE = 5
"""Side of the square over which a map is smoothed before its peak is taken, pixels of 1.875 mm."""


class Pooling(Option):
    """How the pixel scores of a slice become one number."""

    MEAN = "mean"
    """Their mean (the paper's eq. 14): sensitive to how much of a slice is odd."""
    PEAK = "peak"
    """The highest mean of a square of 9 mm: sensitive to how odd the oddest place is."""


class ScoreRegion(Option):
    """Which pixels have a score, and are averaged over to the score of a slice."""

    FOREGROUND = "foreground"
    """Pixels of the head."""
    IMAGE = "image"
    """Every pixel, the paper's plain mean; log variances of -20 on the background make A_pixel explode."""


def variance_unit(score: str) -> str:
    """Return the unit of the variances that come with a score."""
    return "probability²" if Score(score) is Score.LESION else "normalised intensity²"


def score_name(score: str, alpha: float, pooling: str = Pooling.MEAN, slice_smoothing: float = 0.0) -> str:
    """Return what tables call a slice score: pixel score, pooling unless the mean, weight of the error.

    >>> score_name("lesion", 0.0, "peak", 6.0)
    'lesion, peak, 6 mm'
    """
    name, is_mean = Score(score).value, Pooling(pooling) is Pooling.MEAN
    smoothed = slice_smoothing > 0 and alpha < 1  # the squared error is of the slice alone
    parts = [name] if is_mean else [name, Pooling(pooling).value]
    if is_mean and name == Score.SQUARED_ERROR:  # of the slice alone it is the same at every weight
        weight_matters = smoothed and alpha > 0
    else:
        weight_matters = is_mean or alpha > 0
    if weight_matters:
        parts.append(f"alpha {alpha:g}")
    if smoothed:
        parts.append(f"{slice_smoothing:g} mm")
    return ", ".join(parts)


SCORE_CODES = {score: code for code, score in enumerate(Score)}
"""Plain integers for the scripted module, which cannot hold an enum."""


def peak(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the highest value of ``values`` (B, 1, H, W), smoothed, on ``mask`` (B, 1, H, W), (B,).

    What lies outside of the mask counts as 0, or as the lowest value on it where that is below 0: else a
    score that may be negative, as the likelihood, would peak at the border. An empty mask counts as 0.
    """
    lowest = (values * mask).flatten(1).amin(dim=1).clamp(max=0)
    above = (values - lowest[:, None, None, None]) * mask
    smooth = F.avg_pool2d(above, PEAK_SIDE, stride=1, padding=PEAK_SIDE // 2)
    highest = smooth.masked_fill(~mask, -torch.inf).flatten(1).amax(dim=1) + lowest
    return highest.masked_fill(~mask.flatten(1).any(dim=1), 0.0)


def pool(values: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Return one number of ``values`` (B, 1, H, W) on ``mask`` (B, 1, H, W) for each slice, (B,)."""
    return peak(values, mask) if Pooling(pooling) is Pooling.PEAK else masked_mean(values, mask)


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


def scored_pixels(image: torch.Tensor, whole: bool) -> torch.Tensor:
    """Return the pixels (B, 1, H, W) of a normalised image (B, C, H, W) that are scored, boolean.

    Args:
        image: background exactly 0.
        whole: all pixels (:attr:`ScoreRegion.IMAGE`), not those of the head alone.
    """
    inside = (image > 0).any(dim=1, keepdim=True)
    return torch.ones_like(inside) if whole else inside


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of ``values`` (B, C, H, W) over ``mask`` (B, 1, H, W), (B,); 0 if it is empty."""
    weights = mask.expand_as(values).to(values.dtype)
    total = (values * weights).flatten(1).sum(dim=1)
    return total / weights.flatten(1).sum(dim=1).clamp(min=1)


def slice_score(
    image: torch.Tensor,
    reconstruction: torch.Tensor,
    anomaly: torch.Tensor,
    alpha: float,
    region: str = ScoreRegion.FOREGROUND,
    pooling: str = Pooling.MEAN,
) -> torch.Tensor:
    """Return A = alpha * mean((x - mean)^2) + (1 - alpha) * pool(A_pixel) of each slice, (B,).

    With mean pooling the paper's eq. 14, with means over the foreground or, its plain reading, the image.

    Args:
        image: (B, C, H, W) normalised, background 0.
        reconstruction: (B, C, H, W).
        anomaly: (B, 1, H, W) pixel scores.
        alpha: weight of the plain squared error, 0 to 1.
        region: a :class:`ScoreRegion`, that of the mapper that made ``anomaly``.
        pooling: a :class:`Pooling`.
    """
    scored = scored_pixels(image, ScoreRegion(region) is ScoreRegion.IMAGE)
    error = masked_mean((image - reconstruction).square(), scored)
    return alpha * error + (1 - alpha) * pool(anomaly, scored, pooling)
