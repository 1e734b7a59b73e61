"""Scans whose axes are not at right angles (tilted gantry), brought to a straight grid and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import product
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import InvertibleTransform, MapTransform, SpatialResample
from monai.utils import ensure_tuple
from numpy.typing import NDArray

TOLERANCE = 1e-3
"""Cosine between two axes from which on they are sheared; less is rounding."""


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Tell whether the axes of an affine (4, 4) are not at right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > TOLERANCE)


def straight_grid(
    affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Return affine (4, 4) and shape of the smallest straight grid that covers a sheared one.

    The first axis keeps its direction, and the planes of the first two stay planes: slices that are
    shifted against each other are only moved back.
    """
    directions, steps = np.linalg.qr(affine[:3, :3])
    straight = np.eye(4)
    straight[:3, :3] = directions * np.diag(steps)
    corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in shape))])
    straight[:3, 3] = affine[:3, 3]
    places = (np.linalg.solve(straight, affine @ corners.T))[:3]
    low, high = np.floor(places.min(axis=1) + 1e-4), np.ceil(places.max(axis=1) - 1e-4)
    straight[:3, 3] += straight[:3, :3] @ low
    return straight, tuple(int(length) for length in high - low + 1)


class StraightenShearedd(MapTransform, InvertibleTransform):
    """Resample sheared volumes (C, X, Y, Z) linearly to a straight grid; leave all others alone.

    Args:
        keys: volumes.
        label_keys: those of them that are masks: what was half lesion or more is lesion, 1 or 0.
    """

    def __init__(self, keys: KeysCollection, label_keys: KeysCollection = ()) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.label_keys = ensure_tuple(label_keys)
        self.resample = SpatialResample(mode="bilinear", padding_mode="border", dtype=np.float32)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with straight volumes."""
        output = dict(data)
        for key in self.key_iterator(output):
            image = output[key]
            affine = image.affine.double().numpy()
            sheared = image.ndim == 4 and is_sheared(affine)
            if sheared:
                straight, shape = straight_grid(affine, tuple(image.shape[1:]))
                is_mask = key in self.label_keys
                image = (image > 0).float() if is_mask else image
                image = self.resample(image, dst_affine=torch.from_numpy(straight), spatial_size=shape)
                image = (image >= 0.5).float() if is_mask else image
            self.push_transform(image, extra_info={"sheared": sheared})
            output[key] = image
        return output

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` on the grids before."""
        output = dict(data)
        for key in self.key_iterator(output):
            sheared = self.pop_transform(output[key])["extra_info"]["sheared"]
            output[key] = self.resample.inverse(output[key]) if sheared else output[key]
        return output
