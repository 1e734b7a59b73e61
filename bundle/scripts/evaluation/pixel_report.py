"""The pixel-level figures of one map, with intervals over patients, as one row of a table."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts.evaluation.intervals import NO_THRESHOLD, Bootstrap, join_reasons, make_bootstrap, with_interval
from scripts.evaluation.overlap import count_overlap
from scripts.evaluation.pixel_counts import count_pixels
from scripts.evaluation.pixel_curves import (
    NO_LESION,
    NO_MASK,
    best_dice,
    pixel_average_precision,
    region_overlap,
)

BINS = 4096
"""Bins of the resampled figures; their point values are exact."""

_CURVES = {"ap_pixel": pixel_average_precision, "aupro": region_overlap, "dice_oracle": best_dice}


def evaluate_pixels(
    maps: ArrayLike,
    masks: ArrayLike,
    foreground: ArrayLike,
    patients: ArrayLike,
    threshold: float | None,
    no_threshold: str = NO_THRESHOLD,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how well a map marks lesion pixels, over all foreground pixels of all slices together.

    Args:
        maps: (N, X, Y), higher is more abnormal; without a slice every figure is None, for want of a mask.
        masks: (N, X, Y), nonzero in a lesion.
        foreground: (N, X, Y), nonzero where a pixel counts.
        patients: (N,) patient of each slice.
        threshold: of the validation slices, for Dice; None where there is none.
        no_threshold: why there is none.
        bootstrap_samples: resamples of the patients for the 95 % intervals.
        seed: seed of the resampling.

    Returns:
        ``ap_pixel``, ``aupro``, ``dice`` (at the threshold) and ``dice_oracle`` (at the best threshold of
        the test itself), each with ``_low`` and ``_high``; ``pixel_threshold``, ``pixel_prevalence``
        (what a map without information scores as AP) and ``undefined`` (the reasons, or "").
    """
    bootstrap, reasons = make_bootstrap(bootstrap_samples, seed), dict[str, str]()
    row: dict[str, Any] = _ranking(maps, masks, foreground, patients, bootstrap, reasons)
    row |= _dice(maps, masks, foreground, patients, threshold, no_threshold, bootstrap, reasons)
    return row | {"pixel_threshold": threshold, "undefined": join_reasons(reasons)}


def rank_pixels(
    maps: ArrayLike,
    masks: ArrayLike,
    foreground: ArrayLike,
    patients: ArrayLike,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return those figures of :func:`evaluate_pixels` that need no threshold, with the same arguments."""
    bootstrap, reasons = make_bootstrap(bootstrap_samples, seed), dict[str, str]()
    row = _ranking(maps, masks, foreground, patients, bootstrap, reasons)
    return row | {"undefined": join_reasons(reasons)}


def _ranking(
    maps: ArrayLike,
    masks: ArrayLike,
    foreground: ArrayLike,
    patients: ArrayLike,
    bootstrap: Bootstrap,
    reasons: dict[str, str],
) -> dict[str, Any]:
    if not len(np.asarray(maps)):
        names = [f"{metric}{end}" for metric in _CURVES for end in ("", "_low", "_high")]
        reasons |= dict.fromkeys((*_CURVES, "pixel_prevalence"), NO_MASK)
        return dict.fromkeys((*names, "pixel_prevalence"))
    exact = count_pixels(maps, masks, foreground)
    binned = count_pixels(maps, masks, foreground, patients, BINS)
    row: dict[str, Any] = {}
    with_lesion = binned.lesion.sum(axis=1) > 0
    for metric, function in _CURVES.items():
        statistic = partial(function, binned)
        row |= with_interval(metric, statistic, binned.patients, bootstrap, reasons, NO_LESION, [with_lesion])
        row[metric] = function(exact)
    lesion, normal = exact.lesion.sum(), exact.normal.sum()
    return row | {"pixel_prevalence": float(lesion / (lesion + normal))}


def _dice(
    maps: ArrayLike,
    masks: ArrayLike,
    foreground: ArrayLike,
    patients: ArrayLike,
    threshold: float | None,
    no_threshold: str,
    bootstrap: Bootstrap,
    reasons: dict[str, str],
) -> dict[str, float | None]:
    if threshold is None:
        reasons["dice"] = no_threshold
        return {"dice": None, "dice_low": None, "dice_high": None}
    overlap = count_overlap(maps, masks, foreground, patients, threshold)
    with_lesion = overlap.found + overlap.missed > 0
    people, missing = np.asarray(overlap.patients), NO_LESION if overlap.patients.size else NO_MASK
    return with_interval("dice", overlap.dice, people, bootstrap, reasons, missing, [with_lesion])
