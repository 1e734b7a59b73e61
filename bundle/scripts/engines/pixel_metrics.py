"""What a map marks of the lesions as metrics of an evaluation engine, over all slices of all processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from monai.handlers.ignite_metric import IgniteMetricHandler
from monai.utils import CommonKeys

from scripts.data.slices import SliceLabel
from scripts.engines.metrics import AllSlices, detection
from scripts.evaluation.detection import average_precision
from scripts.evaluation.overlap import count_overlap
from scripts.evaluation.pixel_counts import PixelCounts, count_pixels
from scripts.evaluation.pixel_curves import best_dice, region_overlap

Pair = tuple[torch.Tensor, torch.Tensor]
Reduce = Callable[[torch.Tensor, torch.Tensor], float]


class PixelAveragePrecision(IgniteMetricHandler):
    """Average precision of the anomaly map over all foreground pixels; NaN without a lesion pixel.

    The batches have to hold the ``mask`` of each slice; slices of unknown label without a lesion in it are
    left out. Keeps 8 bytes a foreground pixel.
    """

    def __init__(self) -> None:
        super().__init__(
            metric_fn=AllSlices(detection(average_precision)),
            output_transform=_foreground_pixels,
            save_details=False,
        )


class MapMetric(IgniteMetricHandler):
    """A figure of whole anomaly maps; NaN where it is not defined.

    The batches have to hold the ``mask`` of each slice; slices of unknown label without a lesion in it are
    left out. Keeps 6 bytes a pixel.

    Args:
        reduce: of maps (N, H, W), and masks and foreground (N, 2, H, W).
    """

    def __init__(self, reduce: Reduce) -> None:
        super().__init__(metric_fn=AllSlices(reduce), output_transform=_maps, save_details=False)


class PixelRegionOverlap(MapMetric):
    """AUPRO: the mean share of each lesion region that is found, see :func:`region_overlap`."""

    def __init__(self) -> None:
        super().__init__(_counted(region_overlap))


class PixelOracleDice(MapMetric):
    """Dice at the best threshold of the slices themselves: an oracle, see :func:`best_dice`."""

    def __init__(self) -> None:
        super().__init__(_counted(best_dice))


class PixelDice(MapMetric):
    """Dice of the pixels above a threshold.

    Args:
        threshold: a pixel is marked when its value is strictly above it.
    """

    def __init__(self, threshold: float) -> None:
        def dice(maps: torch.Tensor, regions: torch.Tensor) -> float:
            values, masks, inside = _foreground_slices(maps, regions)
            overlap = count_overlap(values, masks, inside, torch.zeros(len(values)), threshold)
            return _number(overlap.dice())

        super().__init__(dice)


def _counted(figure: Callable[[PixelCounts], float | None]) -> Reduce:
    def reduce(maps: torch.Tensor, regions: torch.Tensor) -> float:
        values, masks, inside = _foreground_slices(maps, regions)
        return _number(figure(count_pixels(values, masks, inside))) if len(values) else math.nan

    return reduce


def _foreground_slices(
    maps: torch.Tensor, regions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return maps, masks and foreground (M, H, W) of the slices that have any."""
    masks, inside = regions.bool().unbind(dim=1)
    kept = inside.flatten(1).any(dim=1)
    return maps[kept], masks[kept], inside[kept]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _maps(output: dict[str, Any]) -> Pair:
    inside, mask = (output[CommonKeys.IMAGE] > 0).any(dim=1), output["mask"][:, 0]
    inside = inside & _lesions_known(output).to(inside.device)[:, None, None]
    regions = torch.stack((mask.to(inside.device) > 0, inside), dim=1)
    return output[CommonKeys.PRED][:, 1].float(), regions.byte()


def _foreground_pixels(output: dict[str, Any]) -> Pair:
    inside, mask = (output[CommonKeys.IMAGE] > 0).any(dim=1), output["mask"][:, 0]
    unknown = ~_lesions_known(output)[:, None, None]
    labels = (mask > 0).long().masked_fill(unknown, SliceLabel.UNKNOWN).to(inside.device)
    return output[CommonKeys.PRED][:, 1][inside].float(), labels[inside]


def _lesions_known(output: dict[str, Any]) -> torch.Tensor:
    """Return of which slices (B,) the lesions are known.

    A trace of lesion gives a slice no label, but its pixels are known; a scan without a mask has neither.
    """
    has_lesion = (output["mask"] > 0).flatten(1).any(dim=1)
    return has_lesion | (output[CommonKeys.LABEL].to(has_lesion.device) != SliceLabel.UNKNOWN)
