"""A scan in a few numbers: the shape of its intensities and the size of its head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.stats import skew

MOST_SLICES = 40
RIM_MM = 6.0
"""Depth of the rim: scalp and its fat, or the surface of a stripped brain."""
INNER_MM = (7.5, 19.0)
"""Depth of the ring inside of it: skull and cortex, or cortex."""
CORE_MM = 28.0
"""Depth from which on there is brain alone."""
PERCENTILES = (10, 25, 50, 75, 90)


def spread_slices(count: int, most: int = MOST_SLICES) -> NDArray[np.int64]:
    """Return the indices of at most ``most`` of ``count`` slices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def scan_profile(slices: NDArray[np.float32], pixel_mm: float) -> dict[str, float]:
    """Return the profile of one scan.

    Args:
        slices: (N, C, H, W) normalised brain slices, background exactly 0.
        pixel_mm: side of a pixel.

    Returns:
        Size of the head in its fullest slice, and for each channel (``0_median``, ...) percentiles,
        deviation and skewness of the foreground, mean of rim, inner ring and core, deviation of the
        rim, and mean absolute difference of neighbours; all in normalised intensity but skewness.
    """
    inside: NDArray[np.bool_] = np.any(slices > 0, axis=1)
    depth = np.stack([distance_transform_edt(one) * pixel_mm for one in inside])
    profile = _head_size(inside, pixel_mm)
    for channel in range(slices.shape[1]):
        values = _channel_profile(slices[:, channel], inside, depth)
        profile |= {f"{channel}_{name}": value for name, value in values.items()}
    return profile


def _head_size(inside: NDArray[np.bool_], pixel_mm: float) -> dict[str, float]:
    largest = inside[int(inside.sum(axis=(1, 2)).argmax())]
    return {
        "area_cm2": float(largest.sum()) * pixel_mm**2 / 100,
        "width_mm": float(largest.any(axis=1).sum()) * pixel_mm,
        "length_mm": float(largest.any(axis=0).sum()) * pixel_mm,
    }


def _channel_profile(
    image: NDArray[np.float32], inside: NDArray[np.bool_], depth: NDArray[np.float64]
) -> dict[str, float]:
    values = image[inside].astype(np.float64)
    rim = image[inside & (depth <= RIM_MM)]
    inner = image[(depth > INNER_MM[0]) & (depth <= INNER_MM[1])]
    core = image[depth > CORE_MM]
    neighbours = inside[:, 1:] & inside[:, :-1]
    steps = np.abs(np.diff(image, axis=1))[neighbours]
    percentiles = np.percentile(values, PERCENTILES)
    return {
        **{f"percentile_{p}": float(v) for p, v in zip(PERCENTILES, percentiles, strict=True)},
        "deviation": float(values.std()),
        "skewness": float(skew(values)),
        "rim": float(rim.mean()),
        "rim_deviation": float(rim.std()),
        # A head too small to have such a depth has its mean there.
        "inner": float(inner.mean()) if inner.size else float(values.mean()),
        "core": float(core.mean()) if core.size else float(values.mean()),
        "gradient": float(steps.mean()) if steps.size else 0.0,
    }
