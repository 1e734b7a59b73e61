"""Heads without scalp and skull out of whole heads, about as skull stripping leaves them, for training."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type

from scripts.data.lesion_shapes import FloatArray, head_depth, smooth_noise
from scripts.data.slices import MIN_FOREGROUND
from scripts.errors import InputError

PERCENTILES = (1.0, 99.5)
"""Of what is left, scaled to 0 and 1, as :class:`NormalizeForegroundd` does with a volume."""
SMALLEST = 1e-3
CELLS = 6
"""Of the noise that makes the cut uneven, across the field of view."""
UNEVENNESS = 1.5
"""Deviation of that noise, pixels."""


class RandStripHeadd(RandomizableTransform, MapTransform):
    """Cut the outer layer off the head in a slice by chance, and scale the rest to (0, 1].

    No brain extraction: the cut runs at one depth below the skin, with some unevenness. A slice of which
    too little would be left stays whole.

    Args:
        keys: the one image, (C, X, Y), normalised: background exactly 0, foreground in (0, 1]; it stays so.
        prob: share of the slices that are stripped.
        depth: least and largest depth of the cut, pixels of 1.875 mm; scalp and skull are 10 to 20 mm thick.
    """

    def __init__(
        self, keys: KeysCollection = "image", prob: float = 0.5, depth: tuple[float, float] = (5.0, 11.0)
    ) -> None:
        RandomizableTransform.__init__(self, prob=prob)
        MapTransform.__init__(self, keys)
        self.low, self.high = (float(end) for end in depth)
        if not 0 < self.low <= self.high:
            raise InputError(f"Expected two rising depths above 0 pixels, got {tuple(depth)}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data``, its image stripped by chance."""
        output = dict(data)
        self.randomize(None)
        if self._do_transform:
            key = self.first_key(output)
            image = torch.as_tensor(output[key]).as_subclass(torch.Tensor).float().numpy()
            output[key] = convert_to_dst_type(self._strip(image), output[key])[0]
        return output

    def _strip(self, image: FloatArray) -> FloatArray:
        depth = head_depth(np.any(image > 0, axis=0))
        cut = self.R.uniform(self.low, self.high) + UNEVENNESS * smooth_noise(depth.shape, CELLS, self.R)
        brain = (depth > np.maximum(cut, 0)) & np.any(image > 0, axis=0)
        if brain.mean() < MIN_FOREGROUND:
            return image
        stripped = np.zeros_like(image)
        for channel, values in enumerate(image):
            low, high = np.percentile(values[brain], PERCENTILES)
            stripped[channel][brain] = np.clip((values[brain] - low) / max(high - low, SMALLEST), SMALLEST, 1)
        return stripped
