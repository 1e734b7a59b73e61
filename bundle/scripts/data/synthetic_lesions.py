"""Synthetic lesions as a MONAI transform: what a network can learn to find without a mask of a real one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from scripts.data.lesion_appearance import LesionAppearance, draw_appearance, paint
from scripts.data.lesion_mass_effect import push_away
from scripts.data.lesion_ranges import LesionPart, LesionRanges
from scripts.data.lesion_shapes import FloatArray, LesionShape, draw_shape, head_depth
from scripts.errors import InputError

LESION = "lesion"
"""Key of the mask of painted lesions."""
VISIBLE = 0.02
"""Least mean change of intensity around a pixel inside a lesion that makes it part of the mask."""
AROUND = 5
"""Side of the square of that mean, pixels: a lone pixel that equals the tissue by chance is lesion too."""


@dataclass(frozen=True)
class Lesion:
    """One lesion as drawn, whatever parts of it are painted.

    Attributes:
        shape: place and border.
        look: opacity, contrast, core, ring.
        push: strength of the mass effect, 0 without one.
        source: (C, X, Y) foreign tissue.
    """

    shape: LesionShape
    look: LesionAppearance
    push: float
    source: FloatArray


class RandSyntheticLesiond(RandomizableTransform, MapTransform):
    """Paint lesions into a lesion-free slice, and write their mask.

    All channels share a lesion's geometry. Inside its border, the mask holds what differs visibly from
    the slice as it was, judged over a few pixels; mass effect moves tissue outside of it too. Leaving a
    part out changes no draw, so ablations see the same lesions at the same places.

    Args:
        keys: the one image, normalised: background exactly 0, foreground in (0, 1]; it stays so.
            A slice (C, X, Y), or a batch of them (N, C, X, Y): painted in turn, each by its own draws.
        label_key: gets the mask, (1, X, Y) or (N, 1, X, Y) uint8, 0 or 1.
        prob: part of the slices that get lesions; the others stay as they are, with an empty mask.
        ranges: of every draw; None takes the defaults of :class:`LesionRanges`.
        parts: values of :class:`LesionPart`, what lesions are made of.
        bank: (N, C, X, Y) lesion-free slices that foreign patches come from; None takes the slice itself.

    Raises:
        InputError: there is no part, or no such part; or the bank holds slices of another shape.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        label_key: str = LESION,
        prob: float = 0.65,
        ranges: LesionRanges | None = None,
        parts: Sequence[str] = tuple(LesionPart),
        bank: torch.Tensor | None = None,
    ) -> None:
        RandomizableTransform.__init__(self, prob=prob)
        MapTransform.__init__(self, keys)
        self.label_key = label_key
        self.ranges = ranges or LesionRanges()
        self.parts = frozenset(LesionPart(part) for part in parts)
        self.bank = bank
        self.lesions: list[Lesion] = []
        self.head: FloatArray = np.zeros((0, 0), np.float32)
        if not self.parts:
            raise InputError(f"Expected at least one lesion part out of {', '.join(LesionPart)}, got none.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with lesions in the image and their mask."""
        output = dict(data)
        key = self.first_key(output)
        image = torch.as_tensor(output[key]).as_subclass(torch.Tensor).float().numpy()
        batch = image if image.ndim == 4 else image[None]
        painted, masks = (np.stack(parts) for parts in zip(*map(self._paint, batch), strict=True))
        output[key] = convert_to_dst_type(painted.reshape(image.shape), output[key])[0]
        masks = masks if image.ndim == 4 else masks[0]
        output[self.label_key] = convert_to_dst_type(masks, output[key], dtype=torch.uint8)[0]
        return output

    def randomize(self, data: FloatArray) -> None:
        """Draw the lesions of one slice (C, X, Y): none by chance, or where there is no head."""
        super().randomize(None)
        self.lesions = []
        if not self._do_transform:
            return
        self.head = head_depth(np.any(data > 0, axis=0))
        if self.head.any():
            low, high = self.ranges.count
            self.lesions = [self._draw(data) for _ in range(self.R.randint(low, high + 1))]

    def _draw(self, image: FloatArray) -> Lesion:
        shape = draw_shape(self.head, self.ranges.radius, self.ranges.margin, self.R)
        look = draw_appearance(image.shape, self.ranges, self.R)
        pushes = self.R.uniform() < self.ranges.mass_effect_share
        push = pushes * self.R.uniform(*self.ranges.mass_effect)
        return Lesion(shape, look, push, self._draw_source(image))

    def _draw_source(self, image: FloatArray) -> FloatArray:
        """Return a slice of the bank, or this one, mirrored by chance and shifted by up to a quarter."""
        if self.bank is not None:
            chosen = np.asarray(self.bank[self.R.randint(len(self.bank))], dtype=np.float32)
            if chosen.shape != image.shape:
                raise InputError(f"Expected a bank of slices {image.shape}, got one of {chosen.shape}.")
            image = chosen
        axes = tuple(axis for axis in (1, 2) if self.R.uniform() < 0.5)
        shifts = [self.R.randint(-(length // 4), length // 4 + 1) for length in image.shape[1:]]
        return np.roll(np.flip(image, axes), shifts, axis=(1, 2))

    def _paint(self, image: FloatArray) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Return one slice (C, X, Y) with lesions drawn for it, and their mask (1, X, Y)."""
        self.randomize(image)
        if not self.lesions:
            return image, np.zeros((1, *image.shape[1:]), np.uint8)
        foreground: NDArray[np.bool_] = np.any(image > 0, axis=0)
        painted = image
        # Mass effect first: it must not carry painted lesions out of their masks.
        for lesion in self.lesions if LesionPart.MASS_EFFECT in self.parts else ():
            painted = push_away(painted, self.head, lesion.shape, lesion.push)
        for lesion in self.lesions:
            painted = paint(painted, lesion.shape, lesion.look, lesion.source, self.parts)
        painted = np.where(foreground, np.clip(painted, image[image > 0].min(), 1), 0).astype(np.float32)
        inside = np.any([lesion.shape.depth > 0 for lesion in self.lesions], axis=0)
        changed = uniform_filter(np.abs(painted - image).max(axis=0), AROUND) > VISIBLE
        return painted, (inside & foreground & changed).astype(np.uint8)[None]
