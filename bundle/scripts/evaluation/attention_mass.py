"""Where attention goes: how evenly, and how much of it to a region against what its area would get."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from scripts.errors import InputError
from scripts.evaluation.checks import FloatArray
from scripts.evaluation.intervals import Bootstrap, with_interval

BAND_PIXELS = 2
"""The boundary reaches this far to both sides of the lesion's edge."""


def lesion_boundary(mask: ArrayLike, band: int = BAND_PIXELS) -> NDArray[np.bool_]:
    """Return the pixels (X, Y) within ``band`` pixels of the edge of a lesion mask (X, Y)."""
    lesion = np.asarray(mask) != 0
    if not lesion.any():
        return lesion
    inner = binary_erosion(lesion, iterations=band)
    return binary_dilation(lesion, iterations=band) & ~inner


def attention_entropy(weights: ArrayLike) -> FloatArray:
    """Return the entropy of attention rows (..., K) divided by log K: 1 is even, 0 a single key; (...).

    Where there is but one key, all attention is on a single key: 0.

    Raises:
        InputError: rows that do not sum to 1.
    """
    rows = np.asarray(weights, dtype=np.float64)
    if not np.allclose(rows.sum(axis=-1), 1, atol=1e-3):
        raise InputError(f"Expected attention rows that sum to 1, got other sums in shape {rows.shape}.")
    if rows.shape[-1] == 1:
        return np.zeros(rows.shape[:-1])
    logarithms = np.log(np.where(rows > 0, rows, 1))
    return -(rows * logarithms).sum(axis=-1) / np.log(rows.shape[-1])


def grid_shares(region: ArrayLike, grid: tuple[int, int]) -> FloatArray:
    """Return the share of each cell of a grid of keys that a region (X, Y) covers, (X / gx, Y / gy cells).

    Raises:
        InputError: the grid does not divide the region.
    """
    pixels = np.asarray(region, dtype=np.float64)
    if pixels.shape[0] % grid[0] or pixels.shape[1] % grid[1]:
        raise InputError(f"Expected a grid of keys that divides {pixels.shape} pixels, got {grid}.")
    steps = (pixels.shape[0] // grid[0], pixels.shape[1] // grid[1])
    return pixels.reshape(grid[0], steps[0], grid[1], steps[1]).mean(axis=(1, 3))


def region_mass(received: ArrayLike, region: ArrayLike, foreground: ArrayLike) -> tuple[float, float]:
    """Return the share of the head's attention that a region gets, and the share its area would get.

    Attention to a key counts as spread evenly over the key's cell; what goes to the background is left
    out, since a region of the head is not to win by the mere choice of head over air.

    Args:
        received: (gx, gy) attention that each key receives.
        region: (X, Y) pixels of the region, within the foreground.
        foreground: (X, Y) pixels of the head, at least one.

    Returns:
        Observed and expected share, each in [0, 1].
    """
    attention = np.asarray(received, dtype=np.float64)
    grid = (attention.shape[0], attention.shape[1])
    part, head = grid_shares(region, grid), grid_shares(foreground, grid)
    observed = float((attention * part).sum() / (attention * head).sum())
    return observed, float(part.sum() / head.sum())


def mean_share(
    name: str,
    shares: ArrayLike,
    patients: ArrayLike,
    bootstrap: Bootstrap,
    reasons: dict[str, str],
    missing: str,
) -> dict[str, Any]:
    """Return the mean of a share or an entropy over slices.

    Args:
        name: of the figure, which has ``_low`` and ``_high`` beside it.
        shares: (N,) of the slices.
        patients: (N,) patient of each slice.
        bootstrap: how intervals are made.
        reasons: gets the reason where a figure is None.
        missing: that reason where there is no slice.
    """
    values = np.asarray(shares, dtype=np.float64)

    def mean(rows: NDArray[np.intp]) -> float | None:
        return float(values[rows].mean()) if rows.size else None

    return with_interval(name, mean, patients, bootstrap, reasons, missing)


def attention_ratio(
    name: str,
    observed: ArrayLike,
    expected: ArrayLike,
    patients: ArrayLike,
    bootstrap: Bootstrap,
    reasons: dict[str, str],
) -> dict[str, Any]:
    """Return how much more attention a region gets than expected: summed observed / summed expected shares.

    Args:
        name: of the figure, which has ``_low`` and ``_high`` beside it.
        observed: (N,) shares of the slices that have the region.
        expected: (N,) what they are compared with: by area, or of another region. Heads that look at few
            places give a region none at all, so a sum of 0 leaves the ratio undefined.
        patients: (N,) patient of each slice.
        bootstrap: how intervals are made.
        reasons: gets the reason where a figure is None.
    """
    seen, due = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)

    def ratio(rows: NDArray[np.intp]) -> float | None:
        total = due[rows].sum()
        return float(seen[rows].sum() / total) if total > 0 else None

    missing = "no slice with this region, or no attention to what it is compared with"
    return with_interval(name, ratio, patients, bootstrap, reasons, missing)
