"""The two preprocessing steps MONAI has no transform for, as ordinary MONAI dictionary transforms.

Both work slice by slice in the plane of the last axis, so a volume of any depth costs the same per
slice, and :class:`ResampleInPlaned` inverts onto the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import ensure_tuple
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from torch.nn.functional import avg_pool2d, grid_sample, pad

from scripts.data.foreground import find_foreground, head_centre, upper_head
from scripts.errors import InputError

_SLICES_AT_ONCE = 32


def _name(image: MetaTensor) -> str:
    return str(image.meta.get("filename_or_obj", "scan"))


class ResampleInPlaned(MapTransform, InvertibleTransform):
    """Resample axial slices to a square field of view in mm, centred on the upper head; slices stay.

    MONAI's ``Spacingd`` and ``ResizeWithPadOrCropd`` do the same, but build a 3-D sampling grid of the
    whole volume (6 GB to invert 512 x 512 x 512). One 2-D grid serves all slices here. The background
    level is subtracted, so that what lies outside the scan is background too; it is kept in
    ``meta["background"]``, with ``meta["threshold"]`` and ``meta["upper_head"]`` (first slice, and the one
    after the last) for :class:`NormalizeForegroundd`. ``meta["outside"]`` is the share of the upper head that
    lies outside of the square, where every map is 0.

    Args:
        keys: images, (C, X, Y, Z) in canonical (RAS) orientation.
        field_of_view: side of the square, mm.
        size: side of the square, pixels.
        label_keys: masks to take along on the first image's grid (linear, then half).
    """

    def __init__(
        self,
        keys: KeysCollection,
        field_of_view: float = 240.0,
        size: int = 128,
        label_keys: KeysCollection = (),
    ) -> None:
        super().__init__(keys)
        self.field_of_view = float(field_of_view)
        self.size = int(size)
        self.label_keys = ensure_tuple(label_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with images (C, size, size, Z) and masks (1, size, size, Z)."""
        output = dict(data)
        first = self.first_key(output)
        for key in self.key_iterator(output):
            image = output[key]
            _check_volume(image)
            spacing = torch.linalg.norm(image.affine[:3, :3].double(), dim=0).tolist()
            upper = upper_head(image[0].numpy(), spacing, _name(image))
            channels = image.numpy()[..., upper]
            found = [find_foreground(channel, _name(image)) for channel in channels]
            centre = head_centre(channels[0], found[0].threshold)
            background = torch.tensor([one.background for one in found])
            resampled = self._forward(image, centre, background)
            resampled.meta["upper_head"] = [upper.start, upper.stop]
            resampled.meta["outside"] = self._share_outside(channels[0] > found[0].threshold, centre, spacing)
            resampled.meta["background"] = [one.background for one in found]
            resampled.meta["threshold"] = [one.threshold - one.background for one in found]
            output[key] = resampled
            for label_key in self.label_keys if key == first else ():
                if label_key in output:
                    _check_same_grid(output[label_key], image)
                    mask = self._forward((output[label_key] > 0).float(), centre, torch.zeros(1))
                    output[label_key] = (mask > 0.5).to(torch.uint8)
        return output

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` on the grid before resampling; outside the field of view is 0."""
        output = dict(data)
        for key in self.key_iterator(output):
            image = output[key]
            extra = self.pop_transform(image, key)["extra_info"]
            shape, centre, spacing = extra["shape"], extra["centre"], extra["spacing"]
            step = self.field_of_view / self.size
            axes = [
                (torch.arange(n, dtype=torch.float64) - c) * s / step + (self.size - 1) / 2
                for n, c, s in zip(shape, centre, spacing, strict=True)
            ]
            values = _sample(image.as_tensor(), axes, torch.zeros(1), factors=(1, 1))
            output[key] = _with_geometry(values, image, extra["affine"])
        return output

    def _share_outside(
        self, head: NDArray[np.bool_], centre: tuple[float, float], spacing: Sequence[float]
    ) -> float:
        """Return the share of a head (X, Y, Z) that the square does not hold."""
        rows, columns = (
            np.abs((np.arange(count) - middle) * size) <= self.field_of_view / 2
            for count, middle, size in zip(head.shape[:2], centre, spacing[:2], strict=True)
        )
        return 1 - float(head[rows][:, columns].sum()) / max(1, int(head.sum()))

    def _forward(
        self, image: MetaTensor, centre: tuple[float, float], background: torch.Tensor
    ) -> MetaTensor:
        affine = image.affine.clone().double()
        spacing = [float(torch.linalg.norm(affine[:3, axis])) for axis in (0, 1)]
        step = self.field_of_view / self.size
        offsets = (torch.arange(self.size, dtype=torch.float64) - (self.size - 1) / 2) * step
        axes = [c + offsets / s for c, s in zip(centre, spacing, strict=True)]
        factors = (max(1, int(step / spacing[0] + 1e-3)), max(1, int(step / spacing[1] + 1e-3)))
        values = _sample(image.as_tensor().float(), axes, background, factors)
        change = torch.eye(4, dtype=torch.float64)
        for axis in (0, 1):
            change[axis, axis] = step / spacing[axis]
            change[axis, 3] = centre[axis] + float(offsets[0]) / spacing[axis]
        result = _with_geometry(values, image, affine @ change)
        extra = {
            "shape": tuple(image.shape[1:3]),
            "centre": centre,
            "spacing": tuple(spacing),
            "affine": affine,
        }
        self.push_transform(result, extra_info=extra)
        return result


def _with_geometry(values: torch.Tensor, like: MetaTensor, affine: torch.Tensor) -> MetaTensor:
    meta = {key: value for key, value in like.meta.items() if key != "affine"}
    return MetaTensor(values, affine=affine, meta=meta, applied_operations=list(like.applied_operations))


def _check_volume(image: MetaTensor) -> None:
    if image.ndim != 4:
        raise InputError(
            f"{_name(image)}: expected a 3-D volume (X, Y, Z) per modality, "
            f"found an image of shape {tuple(image.shape)}; give one volume."
        )


def _check_same_grid(mask: MetaTensor, image: MetaTensor) -> None:
    """Refuse a mask of another shape, or one that lies more than half a voxel off the image."""
    found = f"shape {tuple(mask.shape[1:])} instead of {tuple(image.shape[1:])}"
    if mask.shape == (1, *image.shape[1:]):
        ends = [torch.tensor([0.0, length - 1], dtype=torch.float64) for length in image.shape[1:]]
        change = (mask.affine - image.affine).double()
        distance = torch.linalg.norm(torch.cartesian_prod(*ends) @ change[:3, :3].T + change[:3, 3], dim=1)
        if distance.max() <= torch.linalg.norm(image.affine[:3, :3].double(), dim=0).min() / 2:
            return
        found = f"one that lies up to {float(distance.max()):.3g} mm off"
    raise InputError(
        f"{_name(mask)}: expected a mask on the grid of {Path(_name(image)).name}, found {found}; "
        "resample the mask to the scan."
    )


def _sample(
    volume: torch.Tensor, axes: list[torch.Tensor], background: torch.Tensor, factors: tuple[int, int]
) -> torch.Tensor:
    """Sample every slice of ``volume`` (C, X, Y, Z) at the voxel positions ``axes``, linearly.

    Slices finer than the target are first averaged over ``factors`` voxels around every place, so that a
    scan of high resolution does not reach the network with more noise than one of low resolution.
    """
    channels, _, _, depth = volume.shape
    output = volume.new_empty((channels, len(axes[0]), len(axes[1]), depth))
    grid: torch.Tensor | None = None
    margin = (factors[1] - 1, factors[1] - 1, factors[0] - 1, factors[0] - 1)
    for channel in range(channels):
        for start in range(0, depth, _SLICES_AT_ONCE):
            part = volume[channel, :, :, start : start + _SLICES_AT_ONCE].permute(2, 0, 1)[None]
            part = part - background[min(channel, len(background) - 1)].to(part.dtype)
            if max(factors) > 1:
                part = avg_pool2d(pad(part, margin), factors, stride=1)
            if grid is None:
                grid = _grid(axes, factors, tuple(part.shape[-2:]))
            sampled = grid_sample(part, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            output[channel, :, :, start : start + _SLICES_AT_ONCE] = sampled[0].permute(1, 2, 0)
    return output


def _grid(axes: list[torch.Tensor], factors: tuple[int, int], shape: tuple[int, ...]) -> torch.Tensor:
    """Turn voxel positions into ``grid_sample``'s [-1, 1] grid (1, X', Y', 2) over averaged slices."""
    pooled = [axis + (factor - 1) / 2 for axis, factor in zip(axes, factors, strict=True)]
    normalised = [(2 * axis + 1) / size - 1 for axis, size in zip(pooled, shape, strict=True)]
    grid_x, grid_y = torch.meshgrid(*normalised, indexing="ij")
    # grid_sample names the fastest image axis (here Y) first.
    return torch.stack((grid_y, grid_x), dim=-1).float()[None]


class NormalizeForegroundd(MapTransform):
    """Scale intensities by percentiles of the upper head; background becomes exactly 0, foreground (0, 1].

    Works on what :class:`ResampleInPlaned` made (background subtracted, threshold in the metadata).
    Holes of the foreground within a slice count as foreground: dark tissue is tissue. The result is
    the same for ``a * x + b`` with ``a > 0``. ``meta["intensity_range"]`` keeps the percentiles in the
    scan's own units, per channel.
    """

    def __init__(
        self, keys: KeysCollection, lower: float = 1.0, upper: float = 99.5, smallest: float = 1e-3
    ) -> None:
        super().__init__(keys)
        self.lower, self.upper, self.smallest = float(lower), float(upper), float(smallest)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with images (C, X, Y, Z) normalised per channel."""
        output = dict(data)
        for key in self.key_iterator(output):
            image: MetaTensor = output[key]
            values = image.numpy()
            if not np.isfinite(values).all():
                raise InputError(
                    f"{_name(image)}: expected finite intensities, found NaN or infinity; repair it first."
                )
            thresholds = image.meta["threshold"]
            foreground = fill_slices(np.any([c > t for c, t in zip(values, thresholds, strict=True)], axis=0))
            upper = slice(*image.meta["upper_head"])
            measured = values[..., upper][:, foreground[..., upper]]
            if not measured.size:
                raise InputError(f"{_name(image)}: expected a head in the field of view, found none.")
            ranges = np.percentile(measured, (self.lower, self.upper), axis=1).T
            scaled = np.zeros_like(values, dtype=np.float32)
            for channel, (low, high) in enumerate(ranges):
                if high <= low:
                    raise InputError(
                        f"{_name(image)}: expected varying intensities in the head, found one value."
                    )
                inside = (values[channel][foreground] - low) / (high - low)
                scaled[channel][foreground] = np.clip(inside, self.smallest, 1.0)
            backgrounds = image.meta["background"]
            image.meta["intensity_range"] = [
                (float(low) + b, float(high) + b) for (low, high), b in zip(ranges, backgrounds, strict=True)
            ]
            output[key] = MetaTensor(
                torch.from_numpy(scaled), meta=image.meta, applied_operations=image.applied_operations
            )
        return output


def fill_slices(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of each slice of a (X, Y, Z) boolean mask."""
    return np.stack([binary_fill_holes(mask[..., index]) for index in range(mask.shape[-1])], axis=-1)
