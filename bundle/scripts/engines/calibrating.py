"""After training: thresholds and normal range of the best weights, from lesion-free validation slices."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scripts.data.slices import SliceDataset, SliceLabel
from scripts.engines.scoring import foreground_values, score_slices
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration, calibrate
from scripts.io.atomic import write_json
from scripts.io.digest import file_sha256
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import AnomalyMapper

logger = logging.getLogger(__name__)


def calibrate_weights(
    mapper: AnomalyMapper,
    weights: str,
    dataset: SliceDataset,
    path: str,
    alpha: float,
    inputs: Mapping[str, Any],
    source: str,
    slice_quantile: float = 0.95,
    pixel_quantile: float = 0.995,
    device: torch.device | str = "cpu",
    batch_size: int = 16,
    amp: bool = False,
) -> Calibration:
    """Load ``weights``, score the normal slices of ``dataset`` and write their thresholds to ``path``.

    Args:
        mapper: network whose score, samples and seed the thresholds hold for.
        weights: plain state_dict.
        dataset: validation slices; only those without lesion are used.
        path: the ``calibration.json`` to write.
        alpha: weight of the squared error in the slice score.
        inputs: what the slices are: ``modalities`` and ``field_of_view``.
        source: which data, in words.
        slice_quantile: share of normal slices below the slice threshold.
        pixel_quantile: share of normal foreground pixels below the pixel threshold.
        device: where the network runs.
        batch_size: slices at once.
        amp: bfloat16 where it is safe.

    Raises:
        InputError: no lesion-free slice.
    """
    load_weights(mapper, weights)
    normal = dataset.subset((dataset.facts["label"] == SliceLabel.NORMAL).to_numpy())
    if len(normal) == 0:
        raise InputError(
            "Expected lesion-free validation slices to calibrate on, found none; use another split."
        )
    scored = score_slices(mapper.to(device), normal, device, batch_size, amp)
    calibration = calibrate(
        scored.scores(mapper.score, alpha, mapper.pooling, mapper.slice_smoothing),
        normal.facts["level"],
        normal.facts["patient"],
        foreground_values(scored, normal),
        weights_sha256=file_sha256(weights),
        alpha=alpha,
        **mapper.settings(),
        **inputs,
        source=source,
        slice_quantile=slice_quantile,
        pixel_quantile=pixel_quantile,
    )
    write_json(path, calibration.to_json())
    logger.info(
        "Thresholds from %d normal slices of %d patients: slice %.4g, pixel %.4g (%s).",
        calibration.slices,
        calibration.patients,
        calibration.slice_threshold,
        calibration.pixel_threshold,
        Path(path).name,
    )
    return calibration
