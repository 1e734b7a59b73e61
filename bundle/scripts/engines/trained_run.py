"""A finished training as its folder describes it: network, weights, thresholds and history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scripts.engines.calibration_file import find_calibration
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.io.digest import file_sha256
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import AnomalyMapper


@dataclass(frozen=True)
class TrainedRun:
    """Weights ready to be measured, and what is known of them."""

    name: str
    """Of its folder, unless another one was given."""
    folder: Path
    mapper: AnomalyMapper
    calibration: Calibration | None
    no_calibration: str
    """Why there is none for these settings, or ""."""
    seed: int | None
    """Of the training, None where the folder does not tell."""


def load_runs(
    folders: Sequence[str] | Mapping[str, str],
    like: AnomalyMapper,
    alpha: float,
    expected: Mapping[str, Any],
    test_patients: Iterable[str],
) -> list[TrainedRun]:
    """Load trained runs, each with the network it was trained with.

    Args:
        folders: output folders of trainings, or folders by the name each is to have.
        like: has the score, draws and region to measure with; and the network of a folder that holds
            weights without their ``resume.pt``.
        alpha: weight of the squared error in the slice score, for the thresholds.
        expected: settings that the training must have had, by their names in its fingerprint.
        test_patients: patients that no run may have been trained or chosen on.

    Raises:
        InputError: two runs of one name, other data settings, or a test patient among those of a run.
        ModelError: no weights, or weights of another architecture.
    """
    named = (
        dict(folders)
        if isinstance(folders, Mapping)
        else {Path(path).resolve().name: path for path in folders}
    )
    if not named or len(named) < len(folders):
        raise InputError(
            f"Expected folders of trained runs with different names, got {list(folders)}; "
            "name them as --runs \"{'first': <folder>, 'second': <folder>}\"."
        )
    patients = set(test_patients)
    return [_load_run(name, Path(path), like, alpha, expected, patients) for name, path in named.items()]


def _load_run(
    name: str,
    folder: Path,
    like: AnomalyMapper,
    alpha: float,
    expected: Mapping[str, Any],
    test_patients: set[str],
) -> TrainedRun:
    settings = read_settings(folder)
    _check_data(folder, settings, expected)
    _check_patients(folder, test_patients)
    arguments = {key: settings.get(key, value) for key, value in like.arguments.items()}
    mapper = AnomalyMapper(**like.settings(), **arguments)
    weights = folder / "model.pt"
    load_weights(mapper, weights)
    found = find_calibration(str(folder / "calibration.json"), file_sha256(weights), mapper, alpha)
    calibration = found if isinstance(found, Calibration) else None
    reason = found if isinstance(found, str) else ""
    return TrainedRun(name, folder, mapper.eval(), calibration, reason, settings.get("seed"))


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the weights in a run's folder depend on, {} where it does not hold them."""
    path = folder / "resume.pt"
    if not path.is_file():
        return {}
    # Mapped into memory: the optimiser's moments beside them are a hundred megabytes.
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["fingerprint"])


def _check_data(folder: Path, settings: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        if settings.get(key, value) != value:
            raise InputError(
                f"{folder}: expected a run trained with {key} {value}, found one with {settings[key]}; "
                f"give --{key} {settings[key]} or leave the run out."
            )


def _check_patients(folder: Path, test_patients: set[str]) -> None:
    path = folder / "split.json"
    if not path.is_file():
        return
    split = json.loads(path.read_text(encoding="utf-8"))
    seen = {row["patient"] for part in ("training", "validation") for row in split[part]}
    shared = sorted(seen & test_patients)
    if shared:
        raise InputError(
            f"{folder}: expected no test patient among those the run was trained or chosen on, found "
            f"{len(shared)}, {shared[0]} first; give the run's own split with --split_file."
        )
