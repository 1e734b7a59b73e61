"""The units of a benchmark: one detector, one anomaly, one seed. A unit that is done is a file."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.baselines.images.detector import ImageDetector
from scripts.data.anomaly_splits import AnomalySplit, make_split
from scripts.data.image_sets import ImageSet
from scripts.engines.clvae_detector import CLVAEDetector
from scripts.engines.fingerprint import describe
from scripts.errors import InputError
from scripts.io.atomic import atomic_path
from scripts.latent.evidence import Evidence
from scripts.networks.clvae import CLVAE
from scripts.report.clvae_results import LATENT_PREFIX

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """A detector of the benchmark.

    Attributes:
        model: its family, for example ``clvae``.
        configuration: which of the family.
        make: makes it from a ``seed``.
        random: whether the seed matters; without, one seed is run.
    """

    model: str
    configuration: str
    make: Callable[..., ImageDetector]
    random: bool = True


def latent_size_entries(
    detector: functools.partial[ImageDetector], network: functools.partial[CLVAE], sizes: Sequence[int]
) -> dict[str, Entry]:
    """Return entries that differ in the latent dimension alone: ``clvae_latent_<size>``."""
    return {
        f"clvae_{LATENT_PREFIX}{size}": Entry(
            "clvae",
            f"{LATENT_PREFIX}{size}",
            functools.partial(detector, network=functools.partial(network, latent_size=size)),
        )
        for size in sizes
    }


@dataclass(frozen=True)
class Unit:
    """What is run at once. ``anomaly`` and ``protocol`` are words of :func:`make_split`."""

    entry: Entry
    anomaly: str
    protocol: str
    split_seed: int
    seed: int

    @property
    def name(self) -> str:
        """The unit's file name without suffix."""
        detector = (self.entry.model, self.entry.configuration)
        problem = (self.anomaly, self.protocol, str(self.split_seed))
        return "-".join((*detector, *problem, str(self.seed))).replace(":", "_")


@dataclass(frozen=True)
class UnitResult:
    """Scores of the test images and what they cost.

    Attributes:
        anomalous: (N,) 0 or 1.
        scores: name and values (N,) of every score of the detector.
        evidence: of the test images and of the validation inliers, where the detector gives any.
        facts: epochs, seconds, parameters; JSON values.
    """

    anomalous: NDArray[np.int64]
    scores: Mapping[str, Array]
    evidence: tuple[Evidence, Evidence] | None
    facts: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write the result, whole or not at all."""
        facts = np.array(json.dumps(dict(self.facts)))
        arrays: dict[str, Any] = {"anomalous": self.anomalous, "facts": facts}
        arrays |= {f"score_{name}": values for name, values in self.scores.items()}
        if self.evidence is not None:
            test, validation = self.evidence
            arrays |= test.arrays("test_") | validation.arrays("validation_")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)


def load_unit(path: Path) -> UnitResult:
    """Read what :meth:`UnitResult.save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    scores = {name[6:]: values for name, values in arrays.items() if name.startswith("score_")}
    evidence = None
    if "test_log_confidences" in arrays:
        evidence = (Evidence.from_arrays(arrays, "test_"), Evidence.from_arrays(arrays, "validation_"))
    return UnitResult(arrays["anomalous"], scores, evidence, json.loads(str(arrays["facts"])))


def list_units(
    entries: Sequence[Entry], anomalies: Sequence[str], seeds: int, protocol: str, split_seed: int
) -> list[Unit]:
    """Return all units, seed by seed, so that every row of a table is there early, if with few members."""
    return [
        Unit(entry, anomaly, protocol, split_seed, seed)
        for seed in range(seeds)
        for anomaly in anomalies
        for entry in entries
        if seed == 0 or entry.random
    ]


def run_unit(
    unit: Unit, image_set: ImageSet, load_other: Callable[[str], ImageSet], path: Path
) -> UnitResult:
    """Train and score, or read the result of a unit that is done.

    Raises:
        InputError: the file is of a unit with other settings.
    """
    settings = describe(unit.entry.make)
    if path.exists():
        result = load_unit(path)
        _check_settings(path, result.facts["settings"], settings)
        return result
    split = make_split(image_set, unit.anomaly, unit.protocol, unit.split_seed, load_other)
    result = _train_and_score(unit, split, settings)
    result.save(path)
    return result


def _train_and_score(unit: Unit, split: AnomalySplit, settings: object) -> UnitResult:
    detector = unit.entry.make(seed=unit.seed)
    started = time.perf_counter()
    detector.fit(split)
    trained = time.perf_counter()
    scores = detector.score(split.test_images)
    scored = time.perf_counter()
    evidence = None
    if isinstance(detector, CLVAEDetector):
        evidence = (detector.evidence(split.test_images), detector.member.validation)
    facts = {
        "settings": settings,
        "classes": [str(one) for one in split.classes],
        "epochs": getattr(detector, "epochs", None),
        "parameters": getattr(detector, "parameters", None),
        "seconds": trained - started,
        "inference_milliseconds": 1000 * (scored - trained) / len(split.test_images),
    }
    return UnitResult(split.test_anomalous.astype(np.int64), scores, evidence, facts)


def _check_settings(path: Path, stored: object, settings: object) -> None:
    if stored != json.loads(json.dumps(settings)):
        raise InputError(
            f"{path}: expected a unit with the settings {json.dumps(settings)}, found one with "
            f"{json.dumps(stored)}; give another --output_dir, or remove the file to run it anew."
        )
