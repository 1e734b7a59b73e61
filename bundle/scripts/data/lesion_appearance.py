"""What a synthetic lesion looks like: erased, darker or brighter tissue, a core, a ring, or a patch."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from scripts.data.lesion_ranges import LesionPart, LesionRanges
from scripts.data.lesion_shapes import FloatArray, LesionShape
from scripts.data.phantom_fields import ramp

BLUR = 4.0
"""Deviation of the blur that erases anatomy, pixels."""
TEXTURE = 0.04
"""Largest deviation of the texture, in parts of the mean foreground."""
CORE_RADIUS = (0.4, 0.7)
"""Of the core, in parts of the lesion's."""
RING_WIDTH = (1.0, 3.0)
"""Pixels."""


@dataclass(frozen=True)
class LesionAppearance:
    """One lesion's look; shifts are parts of each channel's mean foreground.

    Attributes:
        strength: opacity.
        softness: half the width of the border, pixels.
        erased: share of the blur in the mix of the tissue and its blur.
        shifts: (C,) change of each channel.
        texture: (C, X, Y).
        core: radius of the dark core in parts of the lesion's, 0 without one.
        core_shift: how much darker the core is.
        ring: width of the bright ring in pixels, 0 without one.
        ring_shift: how much brighter the ring is.
        foreign: whether a patch of other tissue takes the place of the changed tissue.
    """

    strength: float
    softness: float
    erased: float
    shifts: NDArray[np.float64]
    texture: FloatArray
    core: float
    core_shift: float
    ring: float
    ring_shift: float
    foreign: bool


def draw_appearance(
    shape: tuple[int, ...], ranges: LesionRanges, random: np.random.RandomState
) -> LesionAppearance:
    """Draw the look of a lesion in a slice of ``shape`` (C, X, Y), each channel with its own shift."""

    def contrast(count: int | None = None) -> NDArray[np.float64]:
        low, high = ranges.contrast
        return low + (high - low) * random.uniform(size=count) ** 2

    signs = np.where(random.uniform(size=shape[0]) < ranges.darker_share, -1, 1)
    return LesionAppearance(
        strength=random.uniform(*ranges.strength),
        softness=random.uniform(*ranges.softness),
        erased=random.uniform(),
        shifts=signs * contrast(shape[0]),
        texture=(random.uniform(0, TEXTURE) * random.standard_normal(shape)).astype(np.float32),
        # Drawn with and without core and ring, so that a share changes no other draw.
        core=(random.uniform() < ranges.core_share) * random.uniform(*CORE_RADIUS),
        core_shift=float(contrast()),
        ring=(random.uniform() < ranges.ring_share) * random.uniform(*RING_WIDTH),
        ring_shift=float(contrast()),
        foreign=bool(random.uniform() < ranges.patch_share),
    )


def paint(
    image: FloatArray,
    shape: LesionShape,
    look: LesionAppearance,
    source: FloatArray,
    parts: Container[LesionPart],
) -> FloatArray:
    """Return a slice with one lesion painted in; nothing keeps it in the head or in (0, 1] yet.

    Args:
        image: (C, X, Y), normalised.
        shape: place and border.
        look: of the lesion.
        source: (C, X, Y) foreign tissue; where it is background, the slice's own tissue stays.
        parts: what is painted.
    """
    mean = np.array([[[channel[channel > 0].mean()]] for channel in image], np.float32)
    content = image
    if look.foreign and LesionPart.PATCH in parts:
        content = np.where(source > 0, source, image)
    elif LesionPart.INTENSITY in parts:
        content = _change_tissue(image, mean, shape, look)
    if look.ring and LesionPart.RING in parts:
        content = content + mean * look.ring_shift * ramp(shape.depth) * ramp(look.ring - shape.depth)
    opacity = np.float32(look.strength) * ramp(shape.depth, look.softness)
    return image + opacity * (content - image)


def _change_tissue(
    image: FloatArray, mean: FloatArray, shape: LesionShape, look: LesionAppearance
) -> FloatArray:
    blurred = gaussian_filter(image, (0, BLUR, BLUR))
    shift = look.shifts.reshape(-1, 1, 1).astype(np.float32) + look.texture
    if look.core:
        shift = shift - look.core_shift * ramp(shape.depth - (1 - look.core) * shape.radius, look.softness)
    return image + np.float32(look.erased) * (blurred - image) + mean * shift
