"""Detection by lesion size: how small a lesion may be and still be seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scripts.errors import InputError
from scripts.evaluation.checks import check_labelled
from scripts.evaluation.detection import auroc
from scripts.evaluation.intervals import (
    NO_THRESHOLD,
    Bootstrap,
    join_reasons,
    make_bootstrap,
    with_interval,
)
from scripts.evaluation.matched import matched_auroc

EDGES_MM2 = (50.0, 300.0, 900.0, 2500.0)
"""Lower ends of the strata, mm^2 of lesion in the slice; the last one is open above."""
NO_SLICE = "no slice of this size"


def lesion_strata(
    scores: ArrayLike,
    labels: ArrayLike,
    levels: ArrayLike,
    areas: ArrayLike,
    patients: ArrayLike,
    threshold: float | None,
    edges: Sequence[float] = EDGES_MM2,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare the abnormal slices of each stratum with all normal slices.

    Args:
        scores: (N,) finite slice scores, higher is more abnormal.
        labels: (N,) 0 normal, 1 abnormal.
        levels: (N,) 0 to 1.
        areas: (N,) lesion area of the slice, mm^2; not looked at for normal slices.
        patients: (N,) patient of each slice.
        threshold: slice threshold of the validation slices; None where there is none.
        edges: rising lower ends of the strata, mm^2.
        bootstrap_samples: resamples of the patients for the 95 % intervals.
        seed: seed of the resampling.

    Returns:
        For each stratum ``area_low``, ``area_high`` (None for the last), ``slices_abnormal``,
        ``patients`` (with such a slice), ``auroc``, ``auroc_matched`` and ``sensitivity`` (share above the
        threshold) with ``_low`` and ``_high``, and ``undefined``.

    Raises:
        InputError: lengths differ, ``edges`` do not rise, a score is not finite, or a label is neither 0
            nor 1.
    """
    values, classes = check_labelled(scores, labels)
    places, sizes = np.asarray(levels, dtype=np.float64), np.asarray(areas, dtype=np.float64)
    people = np.asarray(patients)
    if not values.shape == places.shape == sizes.shape == people.shape:
        raise InputError(
            f"Expected a level, an area and a patient per score, got {values.size} scores, {places.size} "
            f"levels, {sizes.size} areas and {people.size} patients."
        )
    ends = [*(float(edge) for edge in edges), np.inf]
    if any(low >= high for low, high in pairwise(ends)):
        raise InputError(f"Expected rising lesion areas as edges of strata, got {list(edges)}.")
    rows = []
    for low, high in pairwise(ends):
        member = (classes == 1) & (sizes >= low) & (sizes < high)
        part = np.flatnonzero(member | (classes == 0))
        columns = values[part], classes[part], places[part], people[part]
        rows.append(
            {
                "area_low": low,
                "area_high": None if np.isinf(high) else high,
                "slices_abnormal": int(member.sum()),
                "patients": np.unique(people[member]).size,
                **_stratum(*columns, threshold, make_bootstrap(bootstrap_samples, seed)),
            }
        )
    return rows


def _stratum(
    values: NDArray,
    classes: NDArray,
    places: NDArray,
    people: NDArray,
    threshold: float | None,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    def plain(rows: NDArray[np.intp]) -> float | None:
        return auroc(values[rows], classes[rows])

    def matched(rows: NDArray[np.intp]) -> float | None:
        return matched_auroc(values[rows], classes[rows], places[rows])

    def found(rows: NDArray[np.intp]) -> float | None:
        chosen = values[rows][classes[rows] == 1]
        return float((chosen > threshold).mean()) if threshold is not None and chosen.size else None

    reasons: dict[str, str] = {}
    lesions = values[classes == 1]
    missing = "no normal slice to compare with" if lesions.size else NO_SLICE
    needed = (classes == 0, classes == 1)
    row = with_interval("auroc", plain, people, bootstrap, reasons, missing, needed)
    row |= with_interval("auroc_matched", matched, people, bootstrap, reasons, missing, needed)
    missing = NO_THRESHOLD if lesions.size else NO_SLICE
    row |= with_interval("sensitivity", found, people, bootstrap, reasons, missing, needed[1:])
    return {**row, "undefined": join_reasons(reasons)}
