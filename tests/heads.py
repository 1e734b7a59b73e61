"""Synthetic heads for tests: asymmetric about every axis, so that a flip or a swap shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray


def make_head(
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    semi_axes: tuple[float, float, float] = (66.0, 82.0, 70.0),
    offset: tuple[float, float, float] = (4.0, -3.0, 2.0),
) -> NDArray[np.float32]:
    """Return an ellipsoid head (X, Y, Z), RAS, background 0, tissue about 60 to 260.

    Args:
        shape: voxels.
        spacing: voxel size, mm.
        semi_axes: of the ellipsoid, mm.
        offset: of its centre from the middle of the volume, mm.
    """
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    parts = zip((x, y, z), offset, semi_axes, strict=True)
    radius = sum(((axis - middle) / half) ** 2 for axis, middle, half in parts)
    tissue = 150 + 25 * np.sin(x / 17 + 0.4) + 20 * np.cos(y / 13 - z / 31) + 0.2 * x - 0.15 * y + 0.1 * z
    for centre, width, height in (((30, 20, 10), 12, 70), ((-25, -30, 5), 9, -60), ((10, -45, -20), 15, 40)):
        distance = sum((axis - middle) ** 2 for axis, middle in zip((x, y, z), centre, strict=True))
        tissue = tissue + height * np.exp(-distance / (2 * width**2))
    return np.where(radius < 1, np.clip(tissue, 60, 260), 0).astype(np.float32)


def scan_affine(shape: Sequence[int], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the affine (4, 4) of a RAS volume with its middle at 0 mm."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * step for n, step in zip(shape, spacing, strict=True)]
    return affine


def rotation(degrees_about_x: float, degrees_about_z: float) -> NDArray[np.float64]:
    """Return the affine (4, 4) of a rotation about x, then about z."""
    a, b = np.deg2rad([degrees_about_x, degrees_about_z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    result = np.eye(4)
    result[:3, :3] = about_z @ about_x
    return result


def save_scan(path: Path, values: NDArray, affine: NDArray) -> Path:
    """Write a NIfTI file of the values' own type and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def as_image(values: NDArray, spacing: tuple[float, float, float], turn: NDArray | None = None) -> MetaTensor:
    """Return a (C, X, Y, Z) image with affine and file name, from values (X, Y, Z) or (C, X, Y, Z).

    Args:
        values: intensities.
        spacing: voxel size, mm.
        turn: affine of a rotation, see :func:`rotation`.
    """
    volume = torch.as_tensor(np.asarray(values, dtype=np.float32))
    volume = volume[None] if volume.ndim == 3 else volume
    affine = (np.eye(4) if turn is None else turn) @ scan_affine(volume.shape[1:], spacing)
    return MetaTensor(volume, affine=torch.as_tensor(affine), meta={"filename_or_obj": "/data/scan.nii.gz"})


def make_box(shape: tuple[int, int, int], x: slice, y: slice, value: float = 100.0) -> NDArray[np.float32]:
    """Return a volume (X, Y, Z) of 0 with ``value`` within the box."""
    volume = np.zeros(shape, dtype=np.float32)
    volume[x, y] = value
    return volume
