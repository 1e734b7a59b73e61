"""From tissue to a magnetic resonance image: contrast, texture, bias field, blur, noise and gain."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from scripts.data.phantom_anatomy import Fractions, Tissue
from scripts.data.phantom_fields import FloatArray, Grid, smooth_noise

_ORDER = (
    Tissue.CSF,
    Tissue.GREY,
    Tissue.WHITE,
    Tissue.BONE,
    Tissue.MARROW,
    Tissue.FAT,
    Tissue.MUSCLE,
    Tissue.EYE,
    Tissue.VESSEL,
    Tissue.NECROSIS,
    Tissue.OEDEMA,
    Tissue.RING,
)

_MEANS = {
    "t1": (0.25, 0.68, 1.00, 0.10, 0.50, 1.30, 0.50, 0.25, 0.35, 0.35, 0.66, 0.62),
    "t1ce": (0.25, 0.72, 1.00, 0.10, 0.55, 1.30, 0.60, 0.25, 1.55, 0.35, 0.66, 1.60),
    "t2": (1.60, 0.95, 0.65, 0.10, 0.45, 1.05, 0.35, 1.65, 0.20, 1.40, 1.25, 0.95),
    "flair": (0.20, 0.85, 0.65, 0.10, 0.40, 0.90, 0.35, 0.20, 0.25, 0.50, 1.35, 1.05),
}

CONTRAST: dict[str, dict[Tissue, float]] = {
    modality: dict(zip(_ORDER, means, strict=True)) for modality, means in _MEANS.items()
}
"""Mean intensity of every tissue in every modality; white matter on T1 is 1."""

MODALITIES = tuple(CONTRAST)
"""All modalities a phantom has, in BraTS naming."""

GAIN = (0.3, 3000.0)
"""Range of the arbitrary factor between a scan and :data:`CONTRAST`: MR has no units."""


def acquire(grid: Grid, fractions: Fractions, modality: str, generator: np.random.Generator) -> FloatArray:
    """Return the image of a head in one modality, (X, Y, Z) float32, white matter near 1 on T1.

    Args:
        grid: the scan's voxels.
        fractions: tissue fractions of the head.
        modality: one of :data:`MODALITIES`.
        generator: draws contrast, texture, bias field, blur and noise of this scan.
    """
    shades = np.exp(generator.normal(0, 0.05, size=len(_ORDER)))
    image = np.zeros(grid.shape, np.float32)
    for tissue, shade in zip(_ORDER, shades, strict=True):
        if tissue in fractions:
            image += np.float32(CONTRAST[modality][tissue] * shade) * fractions[tissue]
    image *= np.exp(0.035 * smooth_noise(grid, 7.0, generator))
    image *= np.exp(generator.uniform(0.05, 0.15) * smooth_noise(grid, 90.0, generator))
    blur_mm = generator.uniform(0.6, 1.2)
    image = ndimage.gaussian_filter(image, [blur_mm / step for step in grid.spacing], truncate=3)
    noise = generator.uniform(0.01, 0.03) * generator.standard_normal((2, *grid.shape), dtype=np.float32)
    return np.hypot(image + noise[0], noise[1]).astype(np.float32)


def draw_gain(generator: np.random.Generator) -> float:
    """Draw the factor from image units to the numbers in the file, log-uniform over :data:`GAIN`."""
    return float(np.exp(generator.uniform(*np.log(GAIN))))
