"""What the validation engine measures, over all slices of all processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.metrics import CumulativeIterationMetric
from monai.utils import CommonKeys

from scripts.data.slices import SliceLabel
from scripts.errors import InputError, ModelError
from scripts.evaluation.detection import auroc, average_precision
from scripts.uncertainty.scores import Pooling, Score

_Reduce = Callable[[torch.Tensor, torch.Tensor], float]


class AllSlices(CumulativeIterationMetric):
    """Keep (value, label) of every slice, gather them over processes of any share, then reduce them."""

    def __init__(self, reduce: _Reduce) -> None:
        super().__init__()
        self.reduce = reduce

    def _compute_tensor(
        self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert y is not None
        return y_pred, y

    def aggregate(self) -> float:
        """Return the reduction of everything seen, the same in every process."""
        values, labels = self.get_buffer()
        return self.reduce(values.double().cpu(), labels.cpu())


class NormalELBO(IgniteMetricHandler):
    """Mean evidence lower bound of lesion-free slices, nats per value, at beta = 1; larger is better.

    Where no slice has a label (scans without masks) every slice counts: they are taken as normal.

    Args:
        kl_weight: 0 leaves the KL term out, for networks whose latent is no distribution.
    """

    def __init__(self, kl_weight: float = 1.0) -> None:
        super().__init__(
            metric_fn=AllSlices(_mean_of_normal),
            output_transform=partial(_elbo_and_label, kl_weight=float(kl_weight)),
            save_details=False,
        )


class SliceMetric(IgniteMetricHandler):
    """A detection figure of the slices with known labels; NaN, without a warning, where it is not defined.

    The score is A = alpha * mean((x - mean)^2) + (1 - alpha) * pool(pixel score) (the paper's eq. 14), of
    each slice by itself: the mean over neighbouring slices (``slice_smoothing``) needs whole scans.

    Args:
        figure: of scores (N,) and labels (N,), None where it is not defined.
        score: the pixel score, see :class:`Score`.
        alpha: weight of the squared error, 0 to 1.
        pooling: see :class:`Pooling`.
    """

    def __init__(
        self, figure: Callable[..., float | None], score: str, alpha: float, pooling: str = Pooling.MEAN
    ) -> None:
        super().__init__(
            metric_fn=AllSlices(detection(figure)),
            output_transform=score_and_label(score, alpha, pooling),
            save_details=False,
        )


class SliceAUROC(SliceMetric):
    """AUROC of abnormal against normal slices; arguments as for :class:`SliceMetric`.

    MONAI's ``ROCAUC`` fails on a batch without known labels and warns every epoch where a class is missing.
    """

    def __init__(self, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(auroc, score, alpha, pooling)


class SliceAveragePrecision(SliceMetric):
    """Average precision of abnormal against normal slices; arguments as for :class:`SliceMetric`."""

    def __init__(self, score: str, alpha: float, pooling: str = Pooling.MEAN) -> None:
        super().__init__(average_precision, score, alpha, pooling)


def score_and_label(
    score: str, alpha: float, pooling: str = Pooling.MEAN
) -> Callable[[dict[str, Any]], tuple[torch.Tensor, torch.Tensor]]:
    """Return an output transform to (slice scores, labels), each (B,)."""

    def transform(output: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        error = output[f"mean_{Score.SQUARED_ERROR.value}"]
        values = alpha * error + (1 - alpha) * output[f"{Pooling(pooling).value}_{Score(score).value}"]
        return values, output[CommonKeys.LABEL]

    return transform


def _elbo_and_label(output: dict[str, Any], kl_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    if kl_weight == 1:
        return output["elbo"], output[CommonKeys.LABEL]
    per_value = output["kl"] / output[CommonKeys.IMAGE][0].numel()
    return output["elbo"] + (1 - kl_weight) * per_value, output[CommonKeys.LABEL]


def _mean_of_normal(elbo: torch.Tensor, labels: torch.Tensor) -> float:
    normal = labels == SliceLabel.NORMAL
    if (labels == SliceLabel.UNKNOWN).all():
        normal = torch.ones_like(normal)
    if not normal.any():
        raise InputError(
            f"Expected lesion-free validation slices to choose the weights by, found none among "
            f"{len(labels)}; use another split."
        )
    mean = float(elbo[normal].mean())
    if not math.isfinite(mean):
        raise ModelError(
            f"Expected a finite validation ELBO, the network gave {mean}; lower the learning rate, choose "
            "group norm, or switch mixed precision off (--amp false)."
        )
    return mean


def detection(function: Callable[..., float | None]) -> _Reduce:
    """Return a reduction by ``function`` of known labels; NaN where it is None or a score is not finite."""

    def reduce(scores: torch.Tensor, labels: torch.Tensor) -> float:
        known = labels != SliceLabel.UNKNOWN
        if not torch.isfinite(scores[known]).all():
            return math.nan
        value = function(scores[known].numpy(), labels[known].numpy())
        return math.nan if value is None else value

    return reduce
