"""Is the predictive Gaussian right? Coverage of its intervals, and the shape of its z-scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from scripts.errors import InputError
from scripts.evaluation.checks import check_finite, check_fraction
from scripts.evaluation.intervals import join_reasons, make_bootstrap, with_interval

INTERVALS = (0.5, 0.8, 0.95)
"""Central intervals whose coverage is reported."""

Z_EDGES: NDArray[np.float64] = np.linspace(-6, 6, 49)
"""Bins of the histogram of z; the outer ones hold everything beyond them."""


def interval_coverage(
    z: ArrayLike,
    patients: ArrayLike,
    intervals: Sequence[float] = INTERVALS,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Share of pixels within the central intervals of their own Gaussian.

    Args:
        z: (N,) (x - mean) / deviation of pixels, finite.
        patients: (N,) patient of each pixel.
        intervals: nominal shares, each in (0, 1).
        bootstrap_samples: resamples of the patients for the 95 % intervals.
        seed: seed of the resampling.

    Returns:
        For each interval ``nominal``, ``observed`` with ``_low`` and ``_high``, ``pixels`` and
        ``undefined``. Below the nominal share the deviations are too small (overconfident).

    Raises:
        InputError: lengths differ, a z is not finite, or an interval is out of range.
    """
    values, codes, names = _check(z, patients)
    bootstrap = make_bootstrap(bootstrap_samples, seed)
    total = np.bincount(codes, minlength=len(names))
    rows = []
    for nominal in intervals:
        limit = norm.ppf((1 + check_fraction(nominal, "interval")) / 2)
        inside = np.bincount(codes, weights=np.abs(values) <= limit, minlength=len(names))
        reasons: dict[str, str] = {}

        def share(patients: NDArray[np.intp], inside: NDArray = inside) -> float | None:
            pixels = total[patients].sum()
            return float(inside[patients].sum() / pixels) if pixels else None

        row = with_interval("observed", share, names, bootstrap, reasons, "no pixel")
        rows.append({"nominal": nominal, **row, "pixels": values.size, "undefined": join_reasons(reasons)})
    return rows


def z_histogram(z: ArrayLike) -> list[dict[str, float | None]]:
    """Density of z in the bins of :data:`Z_EDGES`, beside that of the standard normal.

    Args:
        z: (N,) finite; values beyond the edges count in the outer bins.

    Returns:
        For each bin ``z_low``, ``z_high``, ``observed`` and ``expected``, densities; ``observed`` is None
        without a pixel.
    """
    values = check_finite(z, "z-scores")
    counts, _ = np.histogram(np.clip(values, Z_EDGES[0], Z_EDGES[-1]), Z_EDGES)
    width = np.diff(Z_EDGES)
    observed = counts / (max(values.size, 1) * width)
    edges = np.concatenate([[-np.inf], Z_EDGES[1:-1], [np.inf]])
    expected = np.diff(norm.cdf(edges)) / width
    return [
        {
            "z_low": float(low),
            "z_high": float(high),
            "observed": float(seen) if values.size else None,
            "expected": float(due),
        }
        for low, high, seen, due in zip(Z_EDGES[:-1], Z_EDGES[1:], observed, expected, strict=True)
    ]


def _check(z: ArrayLike, patients: ArrayLike) -> tuple[NDArray, NDArray[np.intp], NDArray]:
    values, people = check_finite(z, "z-scores"), np.asarray(patients)
    if people.shape != values.shape:
        raise InputError(f"Expected one patient per z-score, got {people.size} for {values.size} z-scores.")
    names, codes = np.unique(people, return_inverse=True)
    return values, codes, names
