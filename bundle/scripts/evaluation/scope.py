"""Is a scan like those the weights were trained on? Statistics of the training scans, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from sklearn.covariance import ledoit_wolf

from scripts import __version__
from scripts.errors import InputError

FEWEST_SCANS = 10
LATENT_DISTANCE = "latent_distance"


@dataclass(frozen=True)
class Verdict:
    """How a scan compares with the training scans."""

    p: float
    """Probability that a scan of the training's kind lies at least this far off."""
    distance: float
    """Mahalanobis distance from the training scans."""
    furthest: tuple[dict[str, float | str], ...]
    """The features that are furthest off by themselves: name, value, mean and deviation in training."""


@dataclass(frozen=True)
class ScopeStatistics:
    """Mean, deviation and correlation of the features of the training scans, and how far these lie off.

    Features are those of :func:`scripts.data.profile.scan_profile` and the latent distance: root mean
    square deviation of a scan's mean latent from the training scans' mean, in deviations of slices, log.
    """

    weights_sha256: str
    features: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """Of the training scans, per feature."""
    precision: tuple[tuple[float, ...], ...]
    """Inverse of the shrunk correlation (Ledoit-Wolf) of the standardised features."""
    log_distance_mean: float
    """Of the log distance of each training scan from the others (leave one out)."""
    log_distance_deviation: float
    latent_mean: tuple[float, ...]
    latent_deviation: tuple[float, ...]
    """Of the slices of the training scans, per latent dimension."""
    scans: int
    source: str
    created: str
    version: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ScopeStatistics:
        """Return what :meth:`to_json` wrote.

        Raises:
            InputError: an entry is missing or unknown.
        """
        expected = {field.name for field in fields(cls)}
        if set(data) != expected:
            raise InputError(
                f"Expected the entries {sorted(expected)} in scope statistics, got {sorted(data)}."
            )
        rows = tuple(tuple(row) for row in data["precision"])
        lists = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
        return cls(**{**data, **lists, "precision": rows})

    def judge(self, profile: Mapping[str, float], latent: ArrayLike, shown: int = 3) -> Verdict:
        """Compare one scan with the training scans.

        The log distance of a new scan is compared with those of the training scans, each measured from the
        others, as one more draw from a normal distribution (Student's t with n - 1 degrees of freedom).

        Args:
            profile: of the scan.
            latent: (latent,) mean over its slices.
            shown: how many features to name.
        """
        found = dict(profile) | {
            LATENT_DISTANCE: _latent_distance(latent, self.latent_mean, self.latent_deviation)
        }
        missing = set(self.features) - set(found)
        if missing:
            raise InputError(f"Expected the features {sorted(missing)} in a profile, got {sorted(found)}.")
        values = np.array([found[name] for name in self.features])
        standard = (values - self.mean) / np.array(self.deviation)
        distance = _distance(standard, np.array(self.precision))
        spread = self.log_distance_deviation * math.sqrt(1 + 1 / self.scans)
        p = float(student(self.scans - 1).sf((math.log(distance) - self.log_distance_mean) / spread))
        order = np.argsort(-np.abs(standard))[:shown]
        return Verdict(p, distance, tuple(self._feature(int(index), values[index]) for index in order))

    def _feature(self, index: int, value: float) -> dict[str, float | str]:
        return {
            "name": self.features[index],
            "value": float(value),
            "mean": self.mean[index],
            "deviation": self.deviation[index],
        }


def fit_scope(
    profiles: Sequence[Mapping[str, float]],
    latents: Sequence[NDArray[np.float32]],
    *,
    weights_sha256: str,
    source: str,
) -> ScopeStatistics:
    """Return the statistics of training scans.

    Args:
        profiles: of every scan.
        latents: (slices, latent) latent means of every scan's slices.
        weights_sha256: SHA-256 of the weights that made the latents.
        source: which data, in words.

    Raises:
        InputError: fewer than ten scans.
    """
    if len(profiles) < FEWEST_SCANS:
        raise InputError(
            f"Expected at least {FEWEST_SCANS} training scans for scope statistics, got {len(profiles)}."
        )
    means = np.stack([latent.mean(axis=0) for latent in latents])
    spread = np.concatenate(latents).std(axis=0) + 1e-12
    names = (*profiles[0], LATENT_DISTANCE)
    table = np.array([[*profile.values(), 0.0] for profile in profiles])
    # Each scan's latent distance is that from the others: from a mean with itself in it would be too near.
    table[:, -1] = [
        _latent_distance(mean, np.delete(means, index, axis=0).mean(axis=0), spread)
        for index, mean in enumerate(means)
    ]
    distances = [_left_out(table, index) for index in range(len(table))]
    mean, deviation, precision = _fit(table)
    return ScopeStatistics(
        weights_sha256=weights_sha256,
        features=names,
        mean=tuple(mean.tolist()),
        deviation=tuple(deviation.tolist()),
        precision=tuple(tuple(row) for row in precision.tolist()),
        log_distance_mean=float(np.mean(np.log(distances))),
        log_distance_deviation=float(np.std(np.log(distances), ddof=1)),
        latent_mean=tuple(means.mean(axis=0).tolist()),
        latent_deviation=tuple(spread.tolist()),
        scans=len(table),
        source=source,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
    )


def _fit(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean, deviation and the inverse of the shrunk correlation of the columns."""
    mean, deviation = table.mean(axis=0), table.std(axis=0, ddof=1) + 1e-12
    covariance, _ = ledoit_wolf((table - mean) / deviation)
    return mean, deviation, np.linalg.inv(covariance)


def _left_out(table: NDArray[np.float64], index: int) -> float:
    """Return the distance of one scan from the statistics of the others."""
    mean, deviation, precision = _fit(np.delete(table, index, axis=0))
    return _distance((table[index] - mean) / deviation, precision)


def _distance(standard: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    return float(np.sqrt(standard @ precision @ standard)) + 1e-12


def _latent_distance(latent: ArrayLike, mean: ArrayLike, deviation: ArrayLike) -> float:
    standard = (np.asarray(latent, np.float64) - np.asarray(mean)) / np.asarray(deviation)
    return float(np.log(np.sqrt(np.mean(standard**2)) + 1e-12))
