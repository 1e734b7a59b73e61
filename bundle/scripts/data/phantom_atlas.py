"""The ICBM152 brain that every phantom is a deformed copy of, and the surfaces around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scripts.data.phantom_fields import FloatArray
from scripts.errors import ResourceError

_TEMPLATE_MM = 2
_PADDING = ((10, 10), (10, 10), (8, 18))  # template voxels added so that the head fits
_CLOSING_MM = 12.0  # bridges the gaps between lobes: the skull does not follow them
_HEAD_TAPER = 0.6  # mm per template slice by which the outline narrows below the widest level


@dataclass(frozen=True)
class Atlas:
    """The template's maps on one padded 2 mm grid, each (X, Y, Z) float32.

    Attributes:
        grey: grey matter probability.
        white: white matter probability.
        brain_mm: depth below the brain's surface, negative outside.
        skull_mm: depth below the inner skull's smooth surface, negative outside.
        head_mm: the same, for an outline that does not retreat below the brain (face and neck).
        origin_mm: position of voxel (0, 0, 0).
    """

    grey: FloatArray
    white: FloatArray
    brain_mm: FloatArray
    skull_mm: FloatArray
    head_mm: FloatArray
    origin_mm: NDArray[np.float64]

    def sample(self, values: FloatArray, points_mm: FloatArray) -> FloatArray:
        """Return one of the maps at ``points_mm`` (3, X, Y, Z), linearly interpolated."""
        indices = (points_mm - self.origin_mm.reshape(3, 1, 1, 1)) / _TEMPLATE_MM
        return ndimage.map_coordinates(values, indices, order=1, mode="nearest")


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Read the ICBM152 tissue maps that nilearn carries (nothing is downloaded).

    Raises:
        ResourceError: nilearn is not installed.
    """
    try:
        from nilearn import datasets
    except ImportError as error:
        raise ResourceError(
            "The phantom cohort needs the ICBM152 maps inside nilearn, which is not installed: "
            "run `pip install nilearn`."
        ) from error
    mask = datasets.load_mni152_brain_mask(resolution=_TEMPLATE_MM)
    brain = np.pad(np.asarray(mask.dataobj) > 0, _PADDING)
    brain_mm = _signed_depth(brain)
    closed = _depth(brain_mm > -_CLOSING_MM) > _CLOSING_MM
    skull_mm = _signed_depth(ndimage.binary_fill_holes(closed | brain))
    grey, white = (
        np.pad(np.asarray(load(resolution=_TEMPLATE_MM).dataobj, dtype=np.float32), _PADDING)
        for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    )
    origin = mask.affine[:3, 3] - _TEMPLATE_MM * np.array([before for before, _ in _PADDING])
    return Atlas(grey, white, brain_mm, skull_mm, _head_outline(skull_mm), origin)


def _signed_depth(mask: NDArray[np.bool_]) -> FloatArray:
    return _depth(mask) - _depth(~mask)


def _depth(mask: NDArray[np.bool_]) -> FloatArray:
    return ndimage.distance_transform_edt(mask, sampling=_TEMPLATE_MM).astype(np.float32)


def _head_outline(skull_mm: FloatArray) -> FloatArray:
    head_mm = skull_mm.copy()
    for level in range(head_mm.shape[2] - 2, -1, -1):
        head_mm[:, :, level] = np.maximum(head_mm[:, :, level], head_mm[:, :, level + 1] - _HEAD_TAPER)
    return head_mm
