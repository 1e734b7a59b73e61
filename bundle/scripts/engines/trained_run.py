"""A finished training as its folder describes it: network, weights, thresholds and history."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.engines.calibration_file import find_calibration, read_calibration
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from scripts.io.digest import file_sha256
from scripts.io.run_folder import SeenScans, inherited_scans, own_scans, read_settings, tested_again
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.mappers import mapper_class
from scripts.uncertainty.scores import score_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """Weights ready to be measured, and what is known of them."""

    name: str
    """Of its folder, unless another one was given."""
    folder: Path
    mapper: AnomalyMapper
    """With the score, draws and region that the run is measured with."""
    alpha: float
    """Weight of the squared error in its slice score."""
    calibration: Calibration | None
    no_calibration: str
    """Why there is none for these settings, or ""."""
    seed: int | None
    """Of the training, None where the folder does not tell."""
    patients_known: bool
    """Whether it is sure that no test patient was trained on."""

    @property
    def score_name(self) -> str:
        """What its slice score is called in tables."""
        mapper = self.mapper
        return score_name(mapper.score, self.alpha, mapper.pooling, mapper.slice_smoothing)


def load_runs(
    folders: Sequence[str] | Mapping[str, str],
    like: AnomalyMapper,
    alpha: float,
    inputs: Mapping[str, Any],
    test_patients: Iterable[str],
    split_file: str,
    as_calibrated: bool = True,
) -> list[TrainedRun]:
    """Load trained runs, each with the network it was trained with.

    Args:
        folders: output folders of trainings, or folders by the name each is to have.
        like: has the score, draws and region to measure with where a run has no calibration; and the
            network of a folder that holds weights without their ``resume.pt``.
        alpha: weight of the squared error in the slice score where a run has no calibration.
        inputs: what the slices are, as it was in the training: ``modalities`` and ``field_of_view``.
        test_patients: patients that no run may have been trained or chosen on.
        split_file: the split whose test patients these are.
        as_calibrated: measure each run with the score, alpha and draws that its thresholds were made for;
            False measures all with those of ``like``, without thresholds where they differ.

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
    runs = []
    for name, path in named.items():
        known = check_run(path, inputs, patients, split_file)
        runs.append(_load_run(name, Path(path), like, alpha, inputs, as_calibrated, known))
    return runs


def check_run(
    folder: str, expected: Mapping[str, Any], test_patients: Iterable[str], split_file: str
) -> bool:
    """Refuse to measure a run on data that are not its own, or on patients that it saw.

    Args:
        folder: output folder of the training; where it holds weights alone, nothing can be refused.
        expected: settings that the training must have had, by their names in its fingerprint.
        test_patients: patients that the run may not have been trained or chosen on.
        split_file: the split whose test patients these are.

    Returns:
        Whether it is sure that it saw none of them; where it is not, a warning says so.

    Raises:
        InputError: other settings, or a test patient among those of the run.
    """
    path = Path(folder)
    training = read_settings(path)
    _check_settings(path, training, expected)
    known = _check_patients(path, training, set(test_patients), split_file)
    if not known:
        logger.warning("%s does not tell whose scans it was trained on: make sure of the test.", path)
    return known


def _load_run(
    name: str,
    folder: Path,
    like: AnomalyMapper,
    alpha: float,
    inputs: Mapping[str, Any],
    as_calibrated: bool,
    known: bool,
) -> TrainedRun:
    training = read_settings(folder)
    settings, weight, file = like.settings(), alpha, folder / "calibration.json"
    if as_calibrated and file.is_file():
        stored = read_calibration(file)
        settings, weight = {name: getattr(stored, name) for name in settings}, stored.alpha
    mapper = _make_mapper(training, like, AnomalyMapper.scoring_arguments(settings))
    load_weights(mapper, folder / "model.pt")
    found = find_calibration(str(file), file_sha256(folder / "model.pt"), mapper, weight, inputs)
    calibration, reason = (found, "") if isinstance(found, Calibration) else (None, found)
    return TrainedRun(name, folder, mapper.eval(), weight, calibration, reason, training.get("seed"), known)


def _make_mapper(
    training: Mapping[str, Any], like: AnomalyMapper, scoring: Mapping[str, Any]
) -> AnomalyMapper:
    """Return an untrained mapper for the network of a training, that of ``like`` where it is unknown."""
    if not training:
        return type(like)(**scoring, **like.arguments)
    kind = mapper_class(training)
    backbone = kind.__bases__[-1]  # a mapper is how to map, then the network
    names = inspect.signature(backbone).parameters
    return kind(**scoring, **{name: training[name] for name in names if name in training})


def _check_settings(folder: Path, settings: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for key, value in expected.items():
        if settings.get(key, value) != value:
            raise InputError(
                f"{folder}: expected a run trained with {key} {value}, found one with {settings[key]}; "
                f"give --{key} {settings[key]} or leave the run out."
            )


def _check_patients(
    folder: Path, training: Mapping[str, Any], test_patients: set[str], split_file: str
) -> bool:
    """Refuse a run that saw a test patient, by name or by volume; return whether it is sure it saw none."""
    own = SeenScans() if training.get("split") == file_sha256(split_file) else own_scans(folder)
    inherited = inherited_scans(training)
    seen = (own or SeenScans()) | (inherited or SeenScans())
    shared = sorted((seen.patients | tested_again(split_file, seen)) & test_patients)
    if shared:
        raise InputError(
            f"{folder}: expected no test patient among those the run was trained or chosen on, found "
            f"{len(shared)}, {shared[0]} first; give the run's own split with --split_file."
        )
    return own is not None and inherited is not None
