"""One row per patient: what an average hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from scripts.evaluation.checks import check_finite
from scripts.evaluation.detection import auroc, undefined_reason
from scripts.evaluation.overlap import Overlap


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
    return [
        _patient(str(name), group[group["label"] != -1], group, threshold) | _dice(name, dices)
        for name, group in table.groupby("patient", sort=True)
    ]


def _patient(name: str, known: pd.DataFrame, group: pd.DataFrame, threshold: float | None) -> dict[str, Any]:
    labels, values = known["label"].to_numpy(), known["score"].to_numpy()
    largest = group["lesion_mm2"].max()
    alarms = {"alarms_abnormal": labels == 1, "alarms_normal": labels == 0}
    reason = undefined_reason(labels)
    return {
        "patient": name,
        "slices_normal": int((labels == 0).sum()),
        "slices_abnormal": int((labels == 1).sum()),
        "largest_lesion_mm2": None if np.isnan(largest) else float(largest),
        "score_highest": float(group["score"].max()),
        "auroc": auroc(values, labels),
        **{
            name: None if threshold is None else int((values[members] > threshold).sum())
            for name, members in alarms.items()
        },
        "undefined": "auroc: " + reason.replace(" one ", " slice ") if reason else "",
    }


def _dice(name: object, dices: dict[Any, float | None]) -> dict[str, float | None]:
    return {"dice": dices.get(name)}
