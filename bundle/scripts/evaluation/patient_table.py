"""One row per patient: what an average hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scripts.evaluation.checks import check_finite
from scripts.evaluation.detection import auroc, undefined_reason
from scripts.evaluation.intervals import NO_THRESHOLD, join_reasons
from scripts.evaluation.overlap import Overlap
from scripts.evaluation.pixel_curves import NO_LESION, NO_MASK


def patient_table(
    facts: pd.DataFrame, scores: ArrayLike, threshold: float | None, overlap: Overlap | None
) -> list[dict[str, Any]]:
    """Return counts and figures of each patient, in the order of their ids.

    Args:
        facts: slice facts with columns patient, label (1 abnormal, 0 normal, -1 left out), lesion_mm2.
        scores: (N,) slice scores, one per row of ``facts``.
        threshold: slice threshold of the validation slices; None where there is none.
        overlap: marked pixels at the pixel threshold; None where there is none.

    Returns:
        ``patient``, ``slices_normal``, ``slices_abnormal``, ``largest_lesion_mm2``, ``score_highest``,
        ``auroc`` (within the patient), ``alarms_abnormal`` and ``alarms_normal`` (slices above the
        threshold), ``dice``, and ``undefined``.
    """
    table = facts.assign(score=check_finite(scores, "scores"))
    dices: dict[Any, float | None] = {}
    if overlap is not None:
        dices = {name: overlap.dice([row]) for row, name in enumerate(overlap.patients)}
    no_dice = NO_THRESHOLD if overlap is None else NO_MASK
    rows = []
    for name, group in table.groupby("patient", sort=True):
        reasons: dict[str, str] = {}
        row = {"patient": str(name), **_slices(group, threshold, reasons)}
        row["dice"] = dices.get(name)
        if row["dice"] is None:
            reasons["dice"] = NO_LESION if name in dices else no_dice
        rows.append(row | {"undefined": join_reasons(reasons)})
    return rows


def _slices(group: pd.DataFrame, threshold: float | None, reasons: dict[str, str]) -> dict[str, Any]:
    """Return the figures of one patient's slices; ``reasons`` gets why one of them is None."""
    known = group[group["label"] != -1]
    labels, values = known["label"].to_numpy(), known["score"].to_numpy()
    largest, reason = group["lesion_mm2"].max(), undefined_reason(labels)
    if np.isnan(largest):
        reasons["largest_lesion_mm2"] = NO_MASK
    if reason:
        reasons["auroc"] = reason.replace(" one ", " slice ")
    alarms: dict[str, int | None] = {"alarms_abnormal": None, "alarms_normal": None}
    if threshold is None:
        reasons |= dict.fromkeys(alarms, NO_THRESHOLD)
    else:
        alarms = {
            name: int((values[labels == label] > threshold).sum())
            for name, label in zip(alarms, (1, 0), strict=True)
        }
    return {
        "slices_normal": int((labels == 0).sum()),
        "slices_abnormal": int((labels == 1).sum()),
        "largest_lesion_mm2": None if np.isnan(largest) else float(largest),
        "score_highest": float(group["score"].max()),
        "auroc": auroc(values, labels),
        **alarms,
    }
