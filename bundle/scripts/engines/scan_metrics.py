"""Figures of whole scans as metrics of an evaluation engine, over all slices of all processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from monai.handlers.ignite_metric import IgniteMetricHandler
from numpy.typing import NDArray

from scripts.engines.metrics import AllSlices, score_and_label
from scripts.evaluation.detection import auroc, average_precision
from scripts.evaluation.scans import false_alarms_per_scan, scan_table
from scripts.uncertainty.scores import Pooling

Figure = Callable[[pd.DataFrame, NDArray], float | None]


class ScanMetric(IgniteMetricHandler):
    """A figure of scans, each scored by its highest slices; NaN where it is not defined.

    The batches have to hold the ``index`` of each slice in the data set.

    Args:
        figure: of slice facts and their scores, None where it is not defined.
        facts: of all slices of the data set, with case, patient and label.
        score: the pixel score, see :class:`Score`.
        alpha: weight of the squared error, 0 to 1.
        pooling: see :class:`Pooling`; a mean over neighbouring slices is not taken.
    """

    def __init__(
        self, figure: Figure, facts: pd.DataFrame, score: str, alpha: float, pooling: str = Pooling.MEAN
    ) -> None:
        def reduce(scores: torch.Tensor, indices: torch.Tensor) -> float:
            if not torch.isfinite(scores).all():
                return math.nan
            value = figure(facts.iloc[indices.numpy()], scores.numpy())
            return math.nan if value is None else value

        super().__init__(
            metric_fn=AllSlices(reduce),
            output_transform=_with_index(score, alpha, pooling),
            save_details=False,
        )


class ScanAUROC(ScanMetric):
    """AUROC of abnormal against normal scans; arguments as for :class:`ScanMetric`."""

    def __init__(self, facts: pd.DataFrame, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(_of_scans(auroc), facts, score, alpha, pooling)


class ScanAveragePrecision(ScanMetric):
    """Average precision of abnormal against normal scans; arguments as for :class:`ScanMetric`."""

    def __init__(self, facts: pd.DataFrame, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(_of_scans(average_precision), facts, score, alpha, pooling)


class FalseAlarmsPerScan(ScanMetric):
    """Slices alarmed on a normal scan at 95 % sensitivity; arguments as for :class:`ScanMetric`."""

    def __init__(self, facts: pd.DataFrame, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(false_alarms_per_scan, facts, score, alpha, pooling)


def _of_scans(figure: Callable[..., float | None]) -> Figure:
    def of_scans(facts: pd.DataFrame, scores: NDArray) -> float | None:
        scans = scan_table(facts, scores)
        scans = scans[scans["label"] != -1]
        return figure(scans["score"].to_numpy(), scans["label"].to_numpy())

    return of_scans


def _with_index(
    score: str, alpha: float, pooling: str
) -> Callable[[dict[str, Any]], tuple[torch.Tensor, torch.Tensor]]:
    """Return an output transform to (slice scores, indices), each (B,)."""
    transform = score_and_label(score, alpha, pooling)
    return lambda output: (transform(output)[0], output["index"])
