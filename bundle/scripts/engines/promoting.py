"""Make the weights of a run the shipped ones."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from scripts import __version__
from scripts.data.slices import SliceDataset
from scripts.engines.calibrating import calibrate_weights
from scripts.engines.history import best_row
from scripts.engines.known_answer import known_answer
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.io.atomic import save_torch, write_json
from scripts.io.digest import file_sha256
from scripts.io.provenance import machine_and_commit
from scripts.io.run_folder import read_settings
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import AnomalyMapper


def promote(
    mapper: AnomalyMapper,
    run_dir: str,
    model_dir: str,
    split_file: str,
    training: SliceDataset,
    validation: SliceDataset,
    calibration: Mapping[str, Any],
    provenance: Mapping[str, Any],
    replace: bool = False,
) -> None:
    """Write ``model.pt`` (half precision), ``calibration.json`` and ``provenance.json`` to ``model_dir``.

    The thresholds are measured anew with the weights as they are written, so the file and its calibration
    belong together to the last bit. What is in ``model_dir`` is replaced when all three are there.

    Args:
        mapper: network of the config, with score, samples and seed of the calibration.
        run_dir: output folder of the training.
        model_dir: the bundle's ``models`` folder.
        split_file: the patients of each side; its hash is recorded, its ids are not.
        training: training slices, for the provenance.
        validation: validation slices, for the thresholds.
        calibration: further arguments of :func:`calibrate_weights`.
        provenance: what else to record: data set, seeds, terms of the data.
        replace: agree to replace weights that are there.

    Raises:
        InputError: there are weights already and ``replace`` is off, or no lesion-free validation slice.
    """
    target = Path(model_dir)
    if (target / "model.pt").exists() and not replace:
        raise InputError(
            f"{target / 'model.pt'}: expected to write new weights, but there are some; add --replace true."
        )
    made_on = machine_and_commit()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=target) as folder:
        new = Path(folder)
        load_weights(mapper, Path(run_dir) / "model.pt")
        save_torch(new / "model.pt", {name: _halved(value) for name, value in mapper.state_dict().items()})
        thresholds = calibrate_weights(
            mapper, str(new / "model.pt"), validation, str(new / "calibration.json"), **calibration
        )
        facts = {
            "network": mapper.arguments,
            **provenance,
            "initial_weights": read_settings(Path(run_dir)).get("initial_weights", {}).get("sha256"),
            "training_patients": int(training.facts["patient"].nunique()),
            "training_slices": len(training),
            "best_epoch": _best_epoch(Path(run_dir) / "history.csv"),
            "split_sha256": file_sha256(split_file),
            "known_answer": known_answer(mapper),
        }
        write_json(new / "provenance.json", _origin(thresholds) | facts | made_on)
        _replace(target, new)
    print(json.dumps({"weights": str(target / "model.pt"), "sha256": thresholds.weights_sha256}, indent=2))


def _origin(thresholds: Calibration) -> dict[str, Any]:
    return {
        "weights_sha256": thresholds.weights_sha256,
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "validation_patients": thresholds.patients,
        "validation_normal_slices": thresholds.slices,
    }


def _replace(target: Path, new: Path) -> None:
    # The old provenance goes first: between two renames it would refuse the new weights.
    (target / "provenance.json").unlink(missing_ok=True)
    for name in ("model.pt", "calibration.json", "provenance.json"):
        (new / name).replace(target / name)


def _halved(value: torch.Tensor) -> torch.Tensor:
    return value.half() if value.is_floating_point() else value


def _best_epoch(path: Path) -> dict[str, float]:
    """Return the history's row of the epoch that the weights are of."""
    with path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return dict(best_row(rows) or {})
