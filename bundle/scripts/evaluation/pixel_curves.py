"""Figures over all thresholds of a map, from counted pixels: average precision, best Dice, AUPRO."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.checks import check_fraction
from scripts.evaluation.pixel_counts import PixelCounts

LARGEST_RATE = 0.3
"""Rate of false pixels up to which AUPRO integrates (Bergmann et al., MVTec AD, 2021)."""

NO_LESION, NO_MASK = "no lesion pixel in the foreground", "no mask"
"""Why figures may be undefined."""


def pixel_average_precision(counts: PixelCounts, rows: ArrayLike | None = None) -> float | None:
    """Mean precision over the recall steps, all pixels of the patients ``rows`` together.

    Args:
        counts: counted pixels; with a bin for each value this is sklearn's average precision.
        rows: patients by index, repeats allowed; None takes all.

    Returns:
        A number in (0, 1], or None without a lesion pixel.
    """
    lesion, normal, _ = counts.cumulative(rows)
    if lesion[-1] == 0:
        return None
    precision = lesion / np.maximum(lesion + normal, 1)
    return float((np.diff(lesion, prepend=0) * precision).sum() / lesion[-1])


def best_dice(counts: PixelCounts, rows: ArrayLike | None = None) -> float | None:
    """Highest Dice that any threshold reaches: an oracle, since it is chosen on the test masks.

    Args and result: as for :func:`pixel_average_precision`.
    """
    lesion, normal, _ = counts.cumulative(rows)
    if lesion[-1] == 0:
        return None
    return float((2 * lesion / (lesion + normal + lesion[-1])).max())


def region_overlap(
    counts: PixelCounts, rows: ArrayLike | None = None, largest_rate: float = LARGEST_RATE
) -> float | None:
    """AUPRO: mean share of each lesion region that is found, over rates of false pixels up to a largest one.

    Every region (connected lesion pixels of one slice) counts the same, however small. The area under the
    curve is divided by ``largest_rate``, so 1 is perfect and chance is ``largest_rate / 2``. Source:
    Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021, section 6.

    Args:
        counts: counted pixels.
        rows: patients by index, repeats allowed; None takes all.
        largest_rate: share of the lesion-free foreground pixels, in (0, 1).

    Returns:
        A number in [0, 1], or None without a lesion or without a lesion-free pixel.
    """
    check_fraction(largest_rate, "largest_rate")
    _, normal, regions = counts.cumulative(rows)
    if regions[-1] == 0 or normal[-1] == 0:
        return None
    # Sums of shares are whole numbers of regions but for rounding.
    rate = np.concatenate([[0], normal / normal[-1]])
    found = np.concatenate([[0], regions / regions[-1]])
    end = int(np.searchsorted(rate, largest_rate))  # the first point there: what rises above it is outside
    last = np.interp(largest_rate, rate[end - 1 : end + 1], found[end - 1 : end + 1])
    area = np.trapezoid(np.append(found[:end], last), np.append(rate[:end], largest_rate))
    return float(area / largest_rate)
