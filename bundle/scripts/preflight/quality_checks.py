"""Noise, ghosting and shading of a scan in three numbers, and a warning where they are far out."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from scripts.data.foreground import find_foreground
from scripts.errors import InputError
from scripts.preflight.report import Level, Report

MOST_NOISE, MOST_GHOSTING, MOST_SHADING = 0.04, 0.10, 2.0
"""Far beyond what 54 of 56 public T1ce scans show (docs/preflight.md): a limit for the odd, not a grade."""
SMOOTH_MM = 25.0
_GRID_MM = 4.0


@dataclass(frozen=True)
class Quality:
    """What stands between a scan and its tissue; 0, 0 and 1 for a scan without background or shading."""

    noise: float
    """Robust deviation of the border, as a share of bright tissue."""
    ghosting: float
    """Difference of the mean signal between the two pairs of borders, as a share of bright tissue."""
    shading: float
    """95th by 5th percentile of the head's intensity, smoothed over 25 mm."""


def measure_quality(volume: NDArray[np.float32], spacing: tuple[float, float, float]) -> Quality:
    """Return the quality of one volume.

    Args:
        volume: (X, Y, Z) in canonical orientation, finite.
        spacing: mm along each axis.

    Raises:
        InputError: there is no head.
    """
    found = find_foreground(volume)
    steps = [max(1, round(_GRID_MM / size)) for size in spacing]
    coarse = volume[:: steps[0], :: steps[1], :: steps[2]].astype(np.float64) - found.background
    inside = coarse > found.threshold - found.background
    if not inside.any():
        raise InputError("Expected a head of more than a few voxels, found none.")
    bright = float(np.percentile(coarse[inside], 98))
    sides = np.concatenate([volume[0], volume[-1]], axis=None).astype(np.float64)
    ends = np.concatenate([volume[:, 0], volume[:, -1]], axis=None).astype(np.float64)
    border = np.concatenate([sides, ends])
    return Quality(
        noise=1.4826 * float(np.median(np.abs(border - np.median(border)))) / bright,
        ghosting=abs(float(sides.mean() - ends.mean())) / bright,
        shading=_shading(coarse, inside, [SMOOTH_MM / (s * n) for s, n in zip(spacing, steps, strict=True)]),
    )


def check_quality(volume: NDArray[np.float32], spacing: tuple[float, float, float]) -> Report | None:
    """Warn of strong noise, ghosting or shading, else note the numbers, see :func:`measure_quality`."""
    try:
        quality = measure_quality(volume, spacing)
    except InputError:
        return None  # the preprocessing says so
    text = (
        f"noise {quality.noise:.1%} and ghosting {quality.ghosting:.1%} of bright tissue, "
        f"shading {quality.shading:.2g} to 1"
    )
    poor = quality.noise > MOST_NOISE or quality.ghosting > MOST_GHOSTING or quality.shading > MOST_SHADING
    if not poor:
        return Report("quality", Level.NOTE, text, "nothing unusual", numbers=asdict(quality))
    limits = f"usual are at most {MOST_NOISE:.0%}, {MOST_GHOSTING:.0%} and {MOST_SHADING:g} to 1"
    return Report("quality", Level.WARNING, text, f"{limits}: look at it first", numbers=asdict(quality))


def _shading(values: NDArray[np.float64], inside: NDArray[np.bool_], widths: list[float]) -> float:
    weight = gaussian_filter(inside.astype(np.float64), widths)
    smooth = gaussian_filter(values * inside, widths)[inside] / weight[inside]
    low, high = np.percentile(smooth, (5, 95))
    return float(high / low)
