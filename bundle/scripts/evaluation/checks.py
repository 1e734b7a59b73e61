"""Validation that the metrics share: one label a score, two classes, finite numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def check_finite(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a float64 vector.

    Args:
        values: (N,) numbers.
        name: what they are called in the error.

    Raises:
        InputError: not one-dimensional, or a value that is NaN or infinite.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise InputError(
            f"Expected {name} to be one-dimensional, got shape {vector.shape}; flatten it first."
        )
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(
            f"Expected {name} to be finite, got {bad.size} NaN or infinite of {vector.size}, the first at "
            f"index {bad[0]}; leave skipped slices out first."
        )
    return vector


def check_labelled(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Return ``scores`` (N,) as float64 and ``labels`` (N,) as int64, 0 normal and 1 abnormal.

    Raises:
        InputError: lengths differ, a score is not finite, or a label is neither 0 nor 1.
    """
    values = check_finite(scores, "scores")
    classes = np.asarray(labels)
    if classes.shape != values.shape:
        raise InputError(
            f"Expected one label per score, got {values.size} scores and labels {classes.shape}."
        )
    strange = classes[(classes != 0) & (classes != 1)]
    if strange.size:
        raise InputError(
            f"Expected labels 0 or 1, got {strange[0]!s}; leave out slices of unknown label first."
        )
    return values, classes.astype(np.int64)


def check_fraction(value: float, name: str) -> float:
    """Return ``value``, which has to lie strictly between 0 and 1.

    Raises:
        InputError: it does not.
    """
    if not 0 < value < 1:
        raise InputError(f"Expected {name} to lie strictly between 0 and 1, got {value}.")
    return float(value)
