"""Scans enough like a head for timing: a bright ellipsoid of textured noise in the dark."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from tqdm import tqdm


def head_slice(size: int, level: float, generator: np.random.Generator) -> np.ndarray:
    """Return one slice (size, size), float32 in [0, 1], at ``level`` (-1 to 1) along an ellipsoid's axis."""
    axis = np.linspace(-1, 1, size)
    radius = (axis[:, None] / 0.72) ** 2 + (axis[None, :] / 0.86) ** 2 + (level / 0.9) ** 2
    coarse = generator.random((16, 16))
    texture = np.kron(coarse, np.ones((size // 16, size // 16)))
    noise = generator.normal(scale=0.02, size=(size, size))
    tissue = np.clip(0.3 + 0.5 * texture + noise, 0.05, 1.0)
    return np.where(radius < 1, tissue, np.abs(noise) * 0.2).astype(np.float32)


def normalised_slices(count: int, size: int = 128, seed: int = 0) -> np.ndarray:
    """Return slices (count, 1, size, size) as the network gets them: background exactly 0."""
    generator = np.random.default_rng(seed)
    slices = np.stack([head_slice(size, level, generator) for level in np.linspace(-0.6, 0.6, count)])
    return np.where(slices >= 0.05, slices, 0)[:, None]


def write_scan(path: Path, size: int, depth: int, seed: int = 0) -> Path:
    """Write an int16 scan of (size, size, depth) voxels, 256 mm wide, and return ``path``."""
    generator = np.random.default_rng(seed)
    volume = np.empty((size, size, depth), dtype=np.int16, order="F")
    levels = np.linspace(-1, 1, depth)
    for index in tqdm(range(depth), desc=f"making {path.name}", unit="slice", disable=depth < 256):
        volume[:, :, index] = 1000 * head_slice(size, levels[index], generator)
    step = 256 / size
    affine = np.diag([-step, -step, 256 / depth, 1.0])
    affine[:3, 3] = 128, 128, -128
    nibabel.save(nibabel.Nifti1Image(volume, affine), path)
    return path
