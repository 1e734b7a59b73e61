"""Synthetic ring-enhancing tumours: irregular, with a necrotic core, oedema and mass effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from scripts.data.phantom_anatomy import Fractions, Tissue, put
from scripts.data.phantom_atlas import load_atlas
from scripts.data.phantom_fields import FloatArray, Grid, ramp, smooth_noise

RADIUS_MM = (8.0, 22.0)
"""Smallest and largest radius of the core (necrosis and ring); oedema reaches further."""

LABELS = {Tissue.NECROSIS: 1, Tissue.OEDEMA: 2, Tissue.RING: 4}
"""Numbers of the BraTS masks (2017-2021)."""


@dataclass(frozen=True)
class Tumour:
    """One tumour's size and place.

    Attributes:
        centre_mm: in the scan's space, RAS.
        radius_mm: mean radius of the core.
        axes: (3, 3) matrix from mm offsets to the unit sphere of the core.
        necrotic: radius of the necrosis as a part of the core's.
        oedema: radius of the oedema as a multiple of the core's.
        pressure: part of the radius by which tissue at the border is pushed away.
    """

    centre_mm: NDArray[np.float64]
    radius_mm: float
    axes: NDArray[np.float64]
    necrotic: float
    oedema: float
    pressure: float

    def offsets(self, grid: Grid) -> FloatArray:
        """Return every voxel's offset from the centre in mm, (3, X, Y, Z)."""
        return grid.coordinates() - self.centre_mm.reshape(3, 1, 1, 1).astype(np.float32)


def draw_tumour(grid: Grid, points_mm: FloatArray, generator: np.random.Generator) -> Tumour:
    """Draw a tumour whose centre lies in grey or white matter of the cerebrum, off the surface.

    Args:
        grid: the scan's voxels.
        points_mm: (3, X, Y, Z) template positions of the head without tumour.
        generator: source of randomness.
    """
    radius = float(generator.uniform(*RADIUS_MM))
    atlas = load_atlas()
    tissue = atlas.sample(atlas.grey + atlas.white, points_mm)
    deep = atlas.sample(atlas.brain_mm, points_mm) > 4 + 0.6 * radius
    candidates = np.argwhere((tissue > 0.7) & deep & (points_mm[2] > -20))
    voxel = generator.choice(candidates)
    stretch = np.exp(generator.normal(0, 0.2, size=3))
    stretch /= np.prod(stretch) ** (1 / 3)
    rotation = Rotation.from_quat(generator.normal(size=4)).as_matrix()  # uniform over all rotations
    return Tumour(
        centre_mm=grid.affine[:3, :3] @ voxel + grid.affine[:3, 3],
        radius_mm=radius,
        axes=np.diag(1 / (radius * stretch)) @ rotation,
        necrotic=float(generator.uniform(0.45, 0.75)),
        oedema=float(generator.uniform(1.2, 1.9)),
        pressure=float(generator.uniform(0.1, 0.4)),
    )


def push_away(grid: Grid, points_mm: FloatArray, tumour: Tumour) -> FloatArray:
    """Return the template positions (3, X, Y, Z) after mass effect; the skull stays where it is."""
    offsets = tumour.offsets(grid)
    squared = (offsets**2).sum(axis=0) / (1.5 * tumour.radius_mm) ** 2
    atlas = load_atlas()
    firm = np.clip(atlas.sample(atlas.skull_mm, points_mm) / 12, 0, 1)
    return points_mm - np.float32(tumour.pressure) * np.exp(-squared) * firm * offsets


def paint_tumour(
    grid: Grid,
    fractions: Fractions,
    brain: NDArray[np.bool_],
    tumour: Tumour,
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """Put the tumour into the head, in place, and return its mask.

    Args:
        grid: the scan's voxels.
        fractions: tissue fractions, changed in place.
        brain: (X, Y, Z) mask; nothing is painted outside.
        tumour: size and place.
        generator: draws the irregular borders.

    Returns:
        (X, Y, Z) uint8 with the numbers of :data:`LABELS`, 0 elsewhere.
    """
    local = np.tensordot(tumour.axes.astype(np.float32), tumour.offsets(grid), axes=1)
    distance = np.linalg.norm(local, axis=0)
    rough = distance * np.exp(
        0.16 * smooth_noise(grid, tumour.radius_mm, generator) + 0.08 * smooth_noise(grid, 6.0, generator)
    )
    hollow = rough * np.exp(0.15 * smooth_noise(grid, 8.0, generator))
    # Oedema spreads along white matter, spares the cortex and stops at fluid.
    white = ndimage.gaussian_filter(fractions[Tissue.WHITE], [1.5 / step for step in grid.spacing])
    reach = tumour.oedema * (0.75 + 0.45 * white) * np.exp(0.1 * smooth_noise(grid, 14.0, generator))
    solid = fractions[Tissue.WHITE] + fractions[Tissue.GREY]

    inside = brain.astype(np.float32)
    core = inside * ramp((1 - rough) * tumour.radius_mm)
    necrosis = core * ramp((tumour.necrotic - hollow) * tumour.radius_mm)
    oedema = inside * np.clip(1.5 * solid, 0, 1) * ramp((reach - rough) * tumour.radius_mm, 2.5)

    put(fractions, Tissue.OEDEMA, 0.85 * oedema)
    put(fractions, Tissue.RING, core)
    put(fractions, Tissue.NECROSIS, necrosis)
    labels = np.where(oedema > 0.5, LABELS[Tissue.OEDEMA], 0)
    labels = np.where(core > 0.5, LABELS[Tissue.RING], labels)
    return np.where(necrosis > 0.5, LABELS[Tissue.NECROSIS], labels).astype(np.uint8)
