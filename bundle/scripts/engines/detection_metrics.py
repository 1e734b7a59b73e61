"""Detection figures as metrics of an evaluation engine, over all slices or pixels of all processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from monai.handlers.ignite_metric import IgniteMetricHandler

from scripts.data.slices import SliceLabel
from scripts.engines.metrics import AllSlices, SliceMetric, score_and_label
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.sensitivity import false_alarm_rate
from scripts.uncertainty.scores import Pooling

Pair = tuple[torch.Tensor, torch.Tensor]


class SliceMatchedAUROC(IgniteMetricHandler):
    """Position-matched AUROC of abnormal against normal slices; NaN where no pair of one level exists.

    The batches have to hold the ``level`` of each slice.

    Args:
        score: the pixel score, see :class:`Score`.
        alpha: weight of the squared error, 0 to 1.
        pooling: see :class:`Pooling`.
    """

    def __init__(self, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(
            metric_fn=AllSlices(_matched),
            output_transform=_with_level(score, alpha, pooling),
            save_details=False,
        )


class SliceFalseAlarmRate(SliceMetric):
    """Share of normal slices alarmed at 95 % sensitivity; arguments as for :class:`SliceMetric`."""

    def __init__(self, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(false_alarm_rate, score, alpha, pooling)


def _with_level(score: str, alpha: float, pooling: str) -> Callable[[dict[str, Any]], Pair]:
    """Return an output transform to scores (B,) and, side by side, labels and levels (B, 2)."""
    transform = score_and_label(score, alpha, pooling)

    def with_level(output: dict[str, Any]) -> Pair:
        values, labels = transform(output)
        return values, torch.stack((labels.double(), output["level"].double().to(labels.device)), dim=1)

    return with_level


def _matched(scores: torch.Tensor, labels_and_levels: torch.Tensor) -> float:
    labels, levels = labels_and_levels.unbind(dim=1)
    known = labels != SliceLabel.UNKNOWN
    if not torch.isfinite(scores[known]).all():
        return math.nan
    value = matched_auroc(scores[known].numpy(), labels[known].numpy(), levels[known].numpy())
    return math.nan if value is None else value
