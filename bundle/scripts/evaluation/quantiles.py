"""Quantiles of more pixels than fit in memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from scripts.errors import InputError
from scripts.evaluation.checks import check_fraction

SIGN = np.uint32(1 << 31)
DROPPED_BITS = np.uint32(12)  # 20 bits stay: sign, exponent and 11 of the mantissa
BINS = 1 << 20


class StreamingQuantile:
    """Quantiles of float32 values that come in pieces, in 8 MiB whatever their number.

    Counts are kept by the upper 20 bits of each float, so bins are 2 ** -11 (0.05 %) of their value wide
    at any scale. The result depends neither on the order of the pieces nor on chance.

    >>> quantile = StreamingQuantile()
    >>> quantile.add([1.0, 2.0, 3.0])
    >>> quantile.quantile(0.99)
    3.0
    """

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, dtype=np.int64)
        self._largest = -math.inf

    @property
    def count(self) -> int:
        """Number of values seen."""
        return int(self._counts.sum())

    def add(self, values: ArrayLike) -> None:
        """Count ``values``, of any shape.

        Raises:
            InputError: a value is NaN or infinite.
        """
        piece = np.asarray(values, dtype=np.float32).ravel()
        if piece.size == 0:
            return
        if not np.isfinite(piece).all():
            raise InputError(f"Expected finite pixel values, got NaN or infinity among {piece.size}.")
        self._counts += np.bincount(_to_ordered_bits(piece) >> DROPPED_BITS, minlength=BINS)
        self._largest = max(self._largest, float(piece.max()))

    def quantile(self, quantile: float) -> float:
        """Return the end of the bin that holds the quantile: at most ``1 - quantile`` of all lie above it.

        Args:
            quantile: strictly between 0 and 1.

        Returns:
            A number never below the exact quantile (of numpy's method "higher") and less than 0.05 % of
            its size above it; values below float32's normal range (1e-38) count as nearly zero.

        Raises:
            InputError: ``quantile`` out of range, or no value seen.
        """
        check_fraction(quantile, "quantile")
        cumulative = np.cumsum(self._counts)
        if cumulative[-1] == 0:
            raise InputError("Expected at least one pixel to take a quantile of, got none.")
        rank = math.ceil(quantile * (cumulative[-1] - 1))
        found = np.searchsorted(cumulative, rank, side="right")
        bits = (np.uint32(found) << DROPPED_BITS) | np.uint32((1 << int(DROPPED_BITS)) - 1)
        return min(float(_from_ordered_bits(bits)), self._largest)


def _to_ordered_bits(values: np.ndarray) -> np.ndarray:
    """Map float32 to uint32 so that the integers are in the order of the numbers."""
    bits = (values + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _from_ordered_bits(bits: np.uint32) -> np.float32:
    """Undo :func:`_to_ordered_bits`."""
    return np.uint32(bits ^ SIGN if bits & SIGN else ~bits).view(np.float32)
