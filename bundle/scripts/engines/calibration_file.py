"""The thresholds that belong to given weights and settings, or the reason why there are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.uncertainty.mapper import AnomalyMapper

logger = logging.getLogger(__name__)


def calibration_path(model_dir: str | Path, name: str | None = None) -> Path:
    """Return the file of the calibration that came with the weights, or of one's own by its name."""
    return Path(model_dir) / (f"calibration_{name}.json" if name else "calibration.json")


def find_calibration(
    path: str,
    weights_sha256: str,
    mapper: AnomalyMapper,
    alpha: float,
    inputs: Mapping[str, Any],
    name: str | None = None,
) -> Calibration | str:
    """Return the calibration in ``path`` if it was made for these weights, inputs and settings.

    Otherwise return the reason in words: maps and scores are written then, a mask is not.

    Args:
        path: the file.
        weights_sha256: of the weights in use.
        mapper: network in use.
        alpha: weight of the squared error in use.
        inputs: what the network sees: ``modalities`` and ``field_of_view`` in use.
        name: of one's own calibration, when the user asked for one.

    Raises:
        InputError: the file is damaged, or one that was asked for by name is not there or of something else.
    """
    found = _find(Path(path), weights_sha256, alpha, mapper.settings() | dict(inputs))
    if isinstance(found, str) and name is not None:
        raise InputError(
            f"Expected the calibration '{name}', but there is none for these weights and settings ({found}); "
            f"run calibrate with --calibration_name {name}."
        )
    if isinstance(found, str):
        logger.warning("No mask and no slice threshold: %s.", found)
    return found


def read_calibration(file: Path) -> Calibration:
    """Return the calibration in a file.

    Raises:
        InputError: it is none.
    """
    try:
        return Calibration.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, InputError) as error:  # no JSON, or JSON of something else
        raise InputError(
            f"{file}: expected a calibration, found something else ({error}); calibrate again."
        ) from error


def _find(file: Path, weights_sha256: str, alpha: float, settings: Mapping[str, Any]) -> Calibration | str:
    if not file.is_file():
        return f"no calibration file {file.name} beside the weights"
    calibration = read_calibration(file)
    difference = calibration.matches(weights_sha256, alpha=alpha, **settings)
    return calibration if difference is None else difference
