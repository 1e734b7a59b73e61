"""Each variant of an ablation against the full model: the same slices, seeds and resampled patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scripts.engines.ablation_units import UnitResult
from scripts.evaluation.checks import FloatArray
from scripts.evaluation.detection import auroc
from scripts.evaluation.intervals import join_reasons, make_bootstrap, with_interval
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.paired import Metric, mean_difference, mean_over_seeds

SLICE = ["case", "slice"]
"""What tells which slice a row of a unit is of."""

Units = Mapping[int, UnitResult]
"""Units of one variant by seed."""


def difference_row(variant: Units, full: Units, bootstrap_samples: int = 1000) -> dict[str, Any]:
    """Return the figures of a variant, means over seeds, and their differences to the full model.

    Only seeds that both have, and slices that both have (two modalities may differ at the ends of the
    head), enter.

    Args:
        variant: at least one seed in common with ``full``.
        full: units of the full model; ``variant`` itself gives differences of exactly 0.
        bootstrap_samples: resamples of the patients.

    Returns:
        For each metric its mean, ``_deviation`` (over seeds, None for a single one), ``_difference`` and
        the ``_low`` and ``_high`` ends of that; ``seeds``, ``score``, ``patients_test``, ``slices_normal``,
        ``slices_abnormal``, ``undefined``. None where a figure is undefined.
    """
    seeds = [seed for seed in full if seed in variant]
    ours, theirs = [variant[seed] for seed in seeds], [full[seed] for seed in seeds]
    slices = _common([*theirs, *ours])
    row: dict[str, Any] = {"score": ours[0].score, "seeds": len(seeds)}
    reasons: dict[str, str] = {}
    if {*ours[0].slices["patient"]} != {*theirs[0].slices["patient"]}:
        return row | {"undefined": f"other test patients than those of the full model ({len(slices)} slices)"}
    scores, reference = (np.stack([_scores(one, slices) for one in part]) for part in (ours, theirs))
    bootstrap, labels = make_bootstrap(bootstrap_samples), slices["label"]
    needed = (labels == 0, labels == 1)
    for name, metric in _metrics(slices).items():
        row |= _figures(name, metric, scores)
        difference = mean_difference(metric, scores, reference)
        row |= with_interval(
            f"{name}_difference", difference, slices["patient"], bootstrap, reasons, needed=needed
        )
    counts = {"slices_normal": int((labels == 0).sum()), "slices_abnormal": int((labels == 1).sum())}
    return {
        **row,
        "patients_test": int(slices["patient"].nunique()),
        **counts,
        "undefined": join_reasons(reasons),
    }


def _common(units: Sequence[UnitResult]) -> pd.DataFrame:
    """Return the slices of known label that all units have, with the facts that the first has of them."""
    slices = units[0].slices
    slices = slices[slices["label"] != -1]
    for unit in units[1:]:
        slices = slices.merge(unit.slices[SLICE], on=SLICE)
    return slices


def _scores(unit: UnitResult, slices: pd.DataFrame) -> FloatArray:
    column = unit.slices.set_index(SLICE)[unit.score]
    return column.loc[pd.MultiIndex.from_frame(slices[SLICE])].to_numpy(dtype=np.float64)


def _metrics(slices: pd.DataFrame) -> dict[str, Metric]:
    labels, levels = slices["label"].to_numpy(), slices["level"].to_numpy()

    def matched(scores: FloatArray, rows: NDArray[np.intp]) -> float | None:
        return matched_auroc(scores, labels[rows], levels[rows])

    def balanced(scores: FloatArray, rows: NDArray[np.intp]) -> float | None:
        return auroc(scores, labels[rows])

    return {"auroc_matched": matched, "auroc_balanced": balanced}


def _figures(name: str, metric: Metric, scores: FloatArray) -> dict[str, float | None]:
    every = np.arange(scores.shape[1])
    figures = [metric(one, every) for one in scores]
    known = [figure for figure in figures if figure is not None]
    deviation = float(np.std(known, ddof=1)) if len(known) == len(figures) > 1 else None
    return {name: mean_over_seeds(metric, scores)(every), f"{name}_deviation": deviation}
