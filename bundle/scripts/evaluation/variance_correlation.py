"""Does a variance map know where the errors are? Rank correlation within each patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from scripts.errors import InputError
from scripts.evaluation.checks import check_finite
from scripts.evaluation.intervals import join_reasons, make_bootstrap, with_interval

FEWEST_PIXELS = 10
"""A patient with fewer pixels has no correlation worth a number."""


def error_correlation(
    error: ArrayLike, variance: ArrayLike, patients: ArrayLike, bootstrap_samples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Mean over patients of Spearman's correlation of pixel errors with a predicted variance.

    Ranks, since both are skewed over orders of magnitude; within patients, since two heads that differ as
    a whole would correlate without any pixel being right.

    Args:
        error: (N,) squared errors of pixels, finite.
        variance: (N,) their predicted variances, finite.
        patients: (N,) patient of each pixel.
        bootstrap_samples: resamples of the patients for the 95 % interval.
        seed: seed of the resampling.

    Returns:
        ``spearman`` with ``_low`` and ``_high``, ``patients``, ``pixels`` and ``undefined``.

    Raises:
        InputError: lengths differ, or a value is not finite.
    """
    errors, variances = check_finite(error, "errors"), check_finite(variance, "variances")
    people = np.asarray(patients)
    if not errors.shape == variances.shape == people.shape:
        raise InputError(
            f"Expected a variance and a patient per error, got {errors.size} errors, {variances.size} "
            f"variances and {people.size} patients."
        )
    found = {}
    for name in np.unique(people):
        chosen = people == name
        value = _spearman(errors[chosen], variances[chosen])
        if value is not None:
            found[name] = value
    values = np.array(list(found.values()))
    reasons: dict[str, str] = {}
    row = with_interval(
        "spearman",
        lambda rows: float(values[rows].mean()) if values.size else None,
        np.array(list(found)),
        make_bootstrap(bootstrap_samples, seed),
        reasons,
        f"no patient with {FEWEST_PIXELS} pixels of differing values",
    )
    return {**row, "patients": len(found), "pixels": errors.size, "undefined": join_reasons(reasons)}


def _spearman(errors: np.ndarray, variances: np.ndarray) -> float | None:
    if errors.size < FEWEST_PIXELS or np.ptp(errors) == 0 or np.ptp(variances) == 0:
        return None
    return float(spearmanr(errors, variances).statistic)
