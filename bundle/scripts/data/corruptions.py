"""Corrupted copies of images: anomalies that are not another class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, rotate

from scripts.data.image_files import Images
from scripts.errors import InputError
from scripts.options import Option

_BATCH = 1024


class Corruption(Option):
    """Ways to corrupt an image, each at the strengths 1, 2 and 3 of :data:`STRENGTHS`."""

    ROTATION = "rotation"
    """Turned about its centre, to the left or to the right; the corners repeat the nearest pixel."""
    OCCLUSION = "occlusion"
    """A grey square somewhere in it: grey, so that it shows on black and on white."""
    BLUR = "blur"
    """Gaussian blur."""
    NOISE = "noise"
    """Gaussian noise, independent from pixel to pixel."""


STRENGTHS: dict[Corruption, tuple[float, float, float]] = {
    Corruption.ROTATION: (15, 30, 60),  # degrees
    Corruption.OCCLUSION: (0.15, 0.25, 0.4),  # side of the square, as a share of the image's shorter side
    Corruption.BLUR: (0.05, 0.08, 0.12),  # standard deviation, as a share of the image's shorter side
    Corruption.NOISE: (0.1, 0.2, 0.4),  # standard deviation, as a share of the range from black to white
}


def corrupt(images: Images, corruption: str, strength: int, seed: int) -> Images:
    """Return corrupted copies of images.

    Args:
        images: (N, C, H, W).
        corruption: a value of :class:`Corruption`.
        strength: 1, 2 or 3.
        seed: of directions, places and noise; each image has its own.

    Returns:
        (N, C, H, W), uint8.

    Raises:
        InputError: there is no such corruption or strength.
    """
    kind = Corruption(corruption)
    if strength not in (1, 2, 3):
        raise InputError(f"Expected a strength of 1, 2 or 3 for the corruption {kind}, got {strength}.")
    amount = STRENGTHS[kind][strength - 1]
    generator = np.random.default_rng(seed)
    corrupted = np.empty_like(images)
    for start in range(0, len(images), _BATCH):
        batch = slice(start, start + _BATCH)
        values = _FUNCTIONS[kind](images[batch].astype(np.float32), amount, generator)
        corrupted[batch] = np.clip(np.round(values), 0, 255)
    return corrupted


Pixels = NDArray[np.float32]


def _rotate(images: Pixels, degrees: float, generator: np.random.Generator) -> Pixels:
    left = generator.random(len(images)) < 0.5
    rotated = np.empty_like(images)
    for side, angle in ((left, degrees), (~left, -degrees)):
        rotated[side] = rotate(images[side], angle, axes=(2, 3), reshape=False, order=1, mode="nearest")
    return rotated


def _occlude(images: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    height, width = images.shape[2:]
    side = max(1, round(share * min(height, width)))
    tops = generator.integers(height - side + 1, size=len(images))
    lefts = generator.integers(width - side + 1, size=len(images))
    occluded = images.copy()
    for image, top, left in zip(occluded, tops, lefts, strict=True):
        image[:, top : top + side, left : left + side] = 128
    return occluded


def _blur(images: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    deviation = share * min(images.shape[2:])
    return gaussian_filter(images, (0, 0, deviation, deviation))


def _add_noise(images: Pixels, share: float, generator: np.random.Generator) -> Pixels:
    return images + 255 * share * generator.standard_normal(images.shape, dtype=np.float32)


_FUNCTIONS = {
    Corruption.ROTATION: _rotate,
    Corruption.OCCLUSION: _occlude,
    Corruption.BLUR: _blur,
    Corruption.NOISE: _add_noise,
}
