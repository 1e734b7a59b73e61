"""Synthetic T1-like whole heads that differ as people do, and things that are no such heads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tests.heads import scan_affine

SHAPE, SPACING = (60, 66, 16), (3.4, 3.4, 9.0)
AFFINE = scan_affine(SHAPE, SPACING)
Volume = NDArray[np.float32]

_AXES = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(SHAPE, SPACING, strict=True)]
_X, _Y, _Z = np.meshgrid(*_AXES, indexing="ij")


def _ball(semi_axes: NDArray, centre: tuple[float, float, float] = (0, 0, 0)) -> NDArray[np.bool_]:
    offsets = zip((_X, _Y, _Z), centre, semi_axes, strict=True)
    return sum(((axis - middle) / half) ** 2 for axis, middle, half in offsets) < 1


def _noise(values: NDArray, generator: np.random.Generator, deviation: float = 3.0) -> Volume:
    return np.abs(values + generator.normal(0, deviation, SHAPE)).astype(np.float32)


def person(seed: int, tumour_mm: float = 0.0, stripped: bool = False, scalp: float = 220.0) -> Volume:
    """Return one whole head (X, Y, Z), background noise about 3.

    Args:
        seed: who.
        tumour_mm: radius of a bright tumour.
        stripped: the brain alone.
        scalp: intensity of the fat.
    """
    generator = np.random.default_rng(seed)
    size = np.array([74.0, 92.0, 80.0]) * generator.uniform(0.95, 1.05)
    texture = gaussian_filter(generator.normal(0, 1, SHAPE), (2, 2, 1))
    brain = 120 * generator.uniform(0.93, 1.07) + 25 * generator.uniform(0.8, 1.2) * texture / texture.std()
    values = np.zeros(SHAPE)
    if not stripped:
        values[_ball(size)] = scalp * generator.uniform(0.9, 1.1)
        values[_ball(size - 7)] = 40 * generator.uniform(0.8, 1.2)
    inside = _ball(size - 14)
    values[inside] = brain[inside]
    values[_ball(np.array([10.0, 22, 16]) * generator.uniform(0.8, 1.2), (0, -5, 5))] = 55
    if tumour_mm:
        values[_ball(np.full(3, tumour_mm), (22, 15, 8))] = 210
    return _noise(values, generator)


def inverted(seed: int) -> Volume:
    """Return a head in which what was dark is bright, as cerebrospinal fluid on T2."""
    values = person(seed)
    return np.where(values > 20, np.clip(260 - values, 5, None), values).astype(np.float32)


def computed_tomography(seed: int) -> Volume:
    """Return a head in Hounsfield units: bone 1000, brain next to nothing but 35, air -1000."""
    generator = np.random.default_rng(seed)
    values = np.full(SHAPE, -1000.0)
    for margin, value in ((0, 10.0), (5, 1000.0), (12, 35.0)):
        values[_ball(np.array([74.0, 92.0, 80.0]) - margin)] = value
    return (values + generator.normal(0, 5, SHAPE)).astype(np.float32)


def bottle(seed: int) -> Volume:
    """Return a cylinder of water: a scanner's phantom."""
    return _noise(np.where(np.hypot(_X, _Y) < 80, 900.0, 0.0), np.random.default_rng(seed), 10)


def knee(seed: int) -> Volume:
    """Return bright marrow in dark cortical bone, muscle, and skin fat."""
    values = np.zeros(SHAPE)
    for radius, value in ((62, 240.0), (55, 80.0), (33, 15.0), (29, 200.0)):
        values[np.hypot(_X, _Y) < radius] = value
    return _noise(values, np.random.default_rng(seed))
