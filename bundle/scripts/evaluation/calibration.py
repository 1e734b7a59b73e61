"""Thresholds and normal ranges from lesion-free validation slices, stored beside the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from scripts import __version__
from scripts.errors import InputError
from scripts.evaluation.checks import check_finite, check_fraction
from scripts.evaluation.normal_range import LevelBand, normal_range
from scripts.evaluation.quantiles import StreamingQuantile


@dataclass(frozen=True)
class Calibration:
    """Thresholds of one combination of weights, input, score and latent draws, and where they come from.

    A pixel or slice is marked when its value is strictly above the threshold.
    """

    weights_sha256: str
    """SHA-256 of the weights file, hexadecimal."""
    modalities: tuple[str, ...]
    """Names of the channels, in order."""
    field_of_view: float
    """Side of a slice, mm."""
    score: str
    """Config value of the anomaly score."""
    alpha: float
    """Weight of the mixed image-level score."""
    samples: int
    """Number K of latent draws."""
    seed: int
    """Seed of the latent draws."""
    noise: str
    """Config value of the kind of draws, and of their strength where the weights do not say it."""
    region: str
    """Config value of the pixels that are scored."""
    pooling: str
    """Config value of how pixel scores become a slice's."""
    slice_smoothing: float
    """Deviation of the mean of the anomaly over neighbouring slices, mm; 0 without."""
    slice_threshold: float
    """Quantile of the slice scores of normal slices."""
    pixel_threshold: float
    """Quantile of the anomaly map over the foreground of normal slices."""
    slice_quantile: float
    pixel_quantile: float
    slices: int
    """Normal slices measured."""
    patients: int
    """Patients they come from."""
    source: str
    """Which data: data set, modality and side of the split, in words."""
    created: str
    """ISO 8601, UTC."""
    version: str
    """Version of this package."""
    normal_range: tuple[LevelBand, ...]
    """Slice scores of normal slices by level, lowest band first."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, without NaN."""
        return asdict(self) | {"normal_range": [asdict(band) for band in self.normal_range]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the calibration that :meth:`to_json` wrote.

        Raises:
            InputError: an entry is missing, unknown, or a threshold that is no finite number.
        """
        _check_keys(data, cls, "calibration")
        for band in data["normal_range"]:
            _check_keys(band, LevelBand, "calibration normal_range")
        for name in ("slice_threshold", "pixel_threshold", "alpha"):
            value = data[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InputError(f"Expected a finite number for {name} in the calibration, got {value!r}.")
        bands = tuple(LevelBand(**band) for band in data["normal_range"])
        return cls(**{**data, "modalities": tuple(data["modalities"]), "normal_range": bands})

    def matches(self, weights_sha256: str, alpha: float, **settings: Any) -> str | None:
        """Return None when the thresholds hold for these settings, else a sentence that says why not.

        Args:
            weights_sha256: of the weights in use.
            alpha: weight of the squared error in use.
            settings: of the mapper and of its input, by the names of the fields above.
        """
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
        differing = [
            f"{name} {_in_words(getattr(self, name))} (given {_in_words(value)})"
            for name, value in given.items()
            if getattr(self, name) != value
        ]
        if not math.isclose(self.alpha, alpha, rel_tol=1e-9, abs_tol=1e-12):
            differing.append(f"alpha {self.alpha} (given {alpha})")
        if self.weights_sha256 != weights_sha256:
            differing.append(f"weights {self.weights_sha256[:12]} (given {weights_sha256[:12]})")
        return f"calibrated for {', '.join(differing)}; calibrate these settings first" if differing else None


def calibrate(
    slice_scores: ArrayLike,
    levels: ArrayLike,
    patients: ArrayLike,
    pixel_values: Iterable[ArrayLike],
    *,
    weights_sha256: str,
    modalities: Sequence[str],
    field_of_view: float,
    score: str,
    alpha: float,
    samples: int,
    seed: int,
    noise: str,
    region: str,
    pooling: str,
    slice_smoothing: float,
    source: str,
    slice_quantile: float = 0.95,
    pixel_quantile: float = 0.99,
    created: str | None = None,
    version: str = __version__,
) -> Calibration:
    """Take thresholds and normal ranges from lesion-free validation slices.

    Args:
        slice_scores: (N,) scores of lesion-free slices, finite.
        levels: (N,) level of each slice, 0 to 1.
        patients: (N,) patient id of each slice.
        pixel_values: anomaly values of the foreground pixels of these slices, in pieces of any shape,
            for example one per slice; each is read once and let go, so memory is bounded.
        weights_sha256: SHA-256 of the weights file.
        modalities: names of the channels, in order.
        field_of_view: side of a slice, mm.
        score: config value of the anomaly score.
        alpha: weight of the mixed image-level score.
        samples: number K of latent draws.
        seed: seed of the latent draws.
        noise: of the draws, as the mapper's settings have it.
        region: config value of the pixels that are scored.
        pooling: config value of how pixel scores become a slice's.
        slice_smoothing: deviation of the mean of the anomaly over neighbouring slices, mm.
        source: which data, in words.
        slice_quantile: share of normal slices at or below the slice threshold, in (0, 1).
        pixel_quantile: share of normal foreground pixels at or below the pixel threshold, in (0, 1).
        created: ISO 8601 time, UTC; now when None.
        version: version of this package.

    Raises:
        InputError: no slice or no pixel, lengths differ, a value is not finite, or a quantile or level
            is out of range.
    """
    values, places = check_finite(slice_scores, "slice scores"), check_finite(levels, "levels")
    people = np.asarray(patients)
    if not values.size == places.size == people.size:
        raise InputError(
            f"Expected a level and a patient per slice score, got {values.size} scores, {places.size} levels "
            f"and {people.size} patients."
        )
    pixels = StreamingQuantile()
    slice_threshold = normal_quantile_threshold(values, slice_quantile)
    for piece in pixel_values:
        pixels.add(piece)
    return Calibration(
        weights_sha256=weights_sha256,
        modalities=tuple(modalities),
        field_of_view=float(field_of_view),
        score=str(score),
        alpha=float(alpha),
        samples=int(samples),
        seed=int(seed),
        noise=str(noise),
        region=str(region),
        pooling=str(pooling),
        slice_smoothing=float(slice_smoothing),
        slice_threshold=slice_threshold,
        pixel_threshold=pixels.quantile(pixel_quantile),
        slice_quantile=float(slice_quantile),
        pixel_quantile=float(pixel_quantile),
        slices=values.size,
        patients=np.unique(people).size,
        source=source,
        created=created or datetime.now(UTC).isoformat(timespec="seconds"),
        version=version,
        normal_range=normal_range(values, places),
    )


def normal_quantile_threshold(values: ArrayLike, quantile: float) -> float:
    """Return numpy's quantile of method "higher": one of ``values``, with at most ``1 - quantile`` above it.

    Args:
        values: (N,) scores of normal slices, finite.
        quantile: strictly between 0 and 1.

    Raises:
        InputError: no value, one that is not finite, or ``quantile`` out of range.

    >>> normal_quantile_threshold([4, 1, 3, 2], 0.5)
    3.0
    """
    check_fraction(quantile, "quantile")
    scores = check_finite(values, "normal scores")
    if scores.size == 0:
        raise InputError("Expected lesion-free validation slices to take a threshold from, got none.")
    return float(np.quantile(scores, quantile, method="higher"))


def _in_words(value: object) -> str:
    """Return the value of a setting as text: a config string, a number, or names joined by +."""
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _check_keys(data: Mapping[str, Any], kind: type, name: str) -> None:
    expected = {field.name for field in fields(kind)}
    if set(data) != expected:
        missing, unknown = sorted(expected - set(data)), sorted(set(data) - expected)
        raise InputError(f"Expected other entries in the {name}: missing {missing}, unknown {unknown}.")
