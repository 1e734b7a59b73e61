"""Thresholds of one's own: from one's own normal scans, beside those that came with the weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from scripts.data.layouts_names import safe_name
from scripts.data.slices import SliceDataset
from scripts.engines.calibrating import calibrate_weights
from scripts.engines.calibration_file import calibration_path
from scripts.engines.inspector import log_warnings
from scripts.engines.scope_gate import ScopeGate
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.preflight.report import decide
from scripts.uncertainty.mapper import AnomalyMapper

logger = logging.getLogger(__name__)

FEW_PATIENTS = 10
"""Thresholds of fewer are made, with a warning."""


def calibrate_own(
    mapper: AnomalyMapper,
    weights: str,
    dataset: SliceDataset,
    model_dir: str,
    name: str,
    gate: ScopeGate,
    calibration: Mapping[str, Any],
    replace: bool = False,
    device: torch.device | str = "cpu",
) -> Calibration:
    """Write ``calibration_<name>.json`` to ``model_dir`` and return it.

    Args:
        mapper: network with its weights, score, samples and seed.
        weights: its weights file.
        dataset: brain slices of normal scans.
        model_dir: folder of the weights.
        name: of the calibration.
        gate: scans that the weights were not made for give no thresholds.
        calibration: further arguments of :func:`calibrate_weights`.
        replace: agree to replace a calibration of that name.
        device: where the network is.

    Raises:
        InputError: no usable name, a calibration of that name is there, or no normal slice.
        ScopeError: a scan is unlike those the weights were trained on.
    """
    if not name or safe_name(str(name)) != name:
        raise InputError(f"Expected letters, digits, '_', '.' or '-' for --calibration_name, got '{name}'.")
    path = calibration_path(model_dir, name)
    if path.exists() and not replace:
        raise InputError(f"{path}: expected to write a new calibration, but it is there; add --replace true.")
    _check_scope(dataset, gate, mapper, device)
    made = calibrate_weights(mapper, weights, dataset, str(path), device=device, **calibration)
    if made.patients < FEW_PATIENTS:
        logger.warning(
            "Thresholds of %d patients: expected %d or more, a quantile of fewer is that of single patients.",
            made.patients,
            FEW_PATIENTS,
        )
    return made


def _check_scope(
    dataset: SliceDataset, gate: ScopeGate, mapper: AnomalyMapper, device: torch.device | str
) -> None:
    cases = dataset.facts["case"].to_numpy()
    for case in dict.fromkeys(cases):
        report = gate.judge(dataset.images[torch.from_numpy(cases == case)], mapper, device)
        if report is not None:
            log_warnings(case, [report.to_dict()])
            decide(case, [report])
