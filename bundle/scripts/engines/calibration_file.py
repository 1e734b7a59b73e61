"""The thresholds that belong to given weights and settings, or the reason why there are none."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.uncertainty.mapper import AnomalyMapper

logger = logging.getLogger(__name__)


def find_calibration(
    path: str, weights_sha256: str, mapper: AnomalyMapper, alpha: float
) -> Calibration | str:
    """Return the calibration in ``path`` if it was made for these weights and settings.

    Otherwise return the reason in words: maps and scores are written then, a mask is not.

    Raises:
        InputError: the file is damaged.
    """
    file = Path(path)
    if not file.is_file():
        reason = f"no calibration file {file.name} beside the weights"
        logger.warning("No mask and no slice threshold: %s.", reason)
        return reason
    try:
        calibration = Calibration.from_json(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, InputError) as error:  # no JSON, or JSON of something else
        raise InputError(
            f"{file}: expected a calibration, found something else ({error}); calibrate again."
        ) from error
    difference = calibration.matches(weights_sha256, alpha=alpha, **mapper.settings())
    if difference is None:
        return calibration
    logger.warning("No mask and no slice threshold: %s.", difference)
    return difference
