"""Synthetic heads: ICBM152 tissue maps, deformed at random, with a skull and scalp drawn around them."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from scripts.data.phantom_atlas import load_atlas
from scripts.data.phantom_fields import FloatArray, Grid, ramp, smooth_noise

_CENTRE_MM = np.array([0.0, -18.0, 10.0])  # of the brain, about which heads turn and grow
_EYES_MM = ((-31.0, 58.0, -36.0), (31.0, 58.0, -36.0))


class Tissue(StrEnum):
    """What a voxel can be made of; fractions add up to at most 1, the rest is air."""

    CSF = "csf"
    """Cerebrospinal fluid: ventricles, sulci and the gap under the skull."""
    GREY = "grey"
    """Grey matter."""
    WHITE = "white"
    """White matter."""
    BONE = "bone"
    """Compact bone, without signal."""
    MARROW = "marrow"
    """The fatty middle layer of the skull."""
    FAT = "fat"
    """Fat of the scalp and the face."""
    MUSCLE = "muscle"
    """Muscle and skin."""
    EYE = "eye"
    """The eyeballs' fluid."""
    VESSEL = "vessel"
    """Blood that takes up contrast: the sagittal sinus and vessels between the gyri."""
    NECROSIS = "necrosis"
    """Dead core of a tumour."""
    OEDEMA = "oedema"
    """Swollen tissue around a tumour."""
    RING = "ring"
    """The living, contrast-enhancing rim of a tumour."""


Fractions = dict[Tissue, FloatArray]


def draw_points(grid: Grid, generator: np.random.Generator) -> FloatArray:
    """Draw one person's anatomy: where in the template each voxel's tissue comes from, (3, X, Y, Z) mm.

    Size (about 5 %), position (3 mm), tilt (3 degrees) and a smooth deformation of a few mm.
    """
    scale = np.exp(generator.normal(0, 0.03) + generator.normal(0, 0.03, size=3))
    tilt = Rotation.from_euler("xyz", generator.normal(0, 3, size=3), degrees=True).as_matrix()
    shift = generator.normal(0, 3, size=3)
    offsets = grid.coordinates() - _CENTRE_MM.reshape(3, 1, 1, 1).astype(np.float32)
    points = np.tensordot((tilt / scale).astype(np.float32), offsets, axes=1)
    points += (_CENTRE_MM + shift).reshape(3, 1, 1, 1).astype(np.float32)
    for control_mm, size_mm in ((48.0, 2.5), (24.0, 1.5), (12.0, 0.7)):
        for axis in range(3):
            points[axis] += np.float32(size_mm) * smooth_noise(grid, control_mm, generator)
    return points


def build_head(
    grid: Grid, points_mm: FloatArray, generator: np.random.Generator
) -> tuple[Fractions, NDArray[np.bool_]]:
    """Fill a head with tissue.

    Args:
        grid: the scan's voxels.
        points_mm: (3, X, Y, Z) template positions, from :func:`draw_points`.
        generator: draws thicknesses, tissue balance and textures.

    Returns:
        Fraction of every tissue, each (X, Y, Z) in [0, 1], and the brain mask (X, Y, Z).
    """
    atlas = load_atlas()
    brain_mm, skull_mm, head_mm = (
        atlas.sample(values, points_mm) for values in (atlas.brain_mm, atlas.skull_mm, atlas.head_mm)
    )
    gap, bone, scalp = generator.uniform((1.5, 4.0, 3.0), (3.5, 7.0, 7.0)).tolist()  # mm
    brain = ramp(brain_mm)
    cavity = np.maximum(brain, np.minimum(ramp(skull_mm + gap), ramp(brain_mm + 5)))
    fractions = _brain_tissue(grid, points_mm, brain, generator)
    fractions[Tissue.CSF] += cavity - brain

    in_skull = np.maximum(cavity, ramp(skull_mm + gap + bone))
    fractions[Tissue.BONE] = in_skull - cavity
    fractions[Tissue.MARROW] = fractions[Tissue.BONE] * ramp(
        bone / 2 - 1.2 - np.abs(skull_mm + gap + bone / 2)
    )
    fractions[Tissue.BONE] -= fractions[Tissue.MARROW]

    outside = np.clip(ramp(head_mm + gap + bone + scalp) - in_skull, 0, 1)
    fractions.update(_soft_tissue(grid, points_mm, head_mm + gap + bone, scalp, generator))
    for tissue in (Tissue.FAT, Tissue.MUSCLE, Tissue.EYE):
        fractions[tissue] *= outside
    put(fractions, Tissue.VESSEL, _vessels(grid, points_mm, skull_mm + gap, cavity, fractions, generator))
    return fractions, brain_mm > 0


def put(fractions: Fractions, tissue: Tissue, weight: FloatArray) -> None:
    """Replace the share ``weight`` (X, Y, Z) of whatever is there by ``tissue``, in place."""
    for other in fractions:
        fractions[other] *= 1 - weight
    fractions[tissue] = fractions.get(tissue, np.float32(0)) + weight


def _brain_tissue(
    grid: Grid, points_mm: FloatArray, brain: FloatArray, generator: np.random.Generator
) -> Fractions:
    atlas = load_atlas()
    grey, white = (atlas.sample(values, points_mm) for values in (atlas.grey, atlas.white))
    balance = np.exp(generator.normal(0, 0.1) + np.float32(0.15) * smooth_noise(grid, 16.0, generator))
    atrophy = np.exp(generator.normal(0, 0.3))
    # The maps are averages over 152 people; a power above 1 gives one person's sharper borders.
    parts = [np.clip(1 - grey - white, 0, 1) * atrophy, grey / balance, white * balance]
    sharp = [np.clip(part, 0, None) ** 1.7 for part in parts]
    total = np.maximum(sum(sharp), 1e-6)
    names = (Tissue.CSF, Tissue.GREY, Tissue.WHITE)
    return {name: (part * brain / total).astype(np.float32) for name, part in zip(names, sharp, strict=True)}


def _soft_tissue(
    grid: Grid, points_mm: FloatArray, below_mm: FloatArray, scalp: float, generator: np.random.Generator
) -> Fractions:
    """Return fat, muscle and eyes for the whole grid; ``below_mm`` is the depth under the scalp."""
    skin = ramp(1.0 - (below_mm + scalp))
    in_scalp = ramp(-below_mm)
    marbling = ramp(smooth_noise(grid, 9.0, generator) - 0.8, 0.5)
    fat = in_scalp * (1 - 0.7 * skin) + (1 - in_scalp) * marbling
    _, front, up = points_mm
    in_face = ramp(front - 25, 8.0) * ramp(-20 - up, 8.0) * (1 - in_scalp)
    air = in_face * ramp(smooth_noise(grid, 14.0, generator) - 0.6, 0.3)
    eyes = np.zeros(grid.shape, np.float32)
    for eye_mm in _EYES_MM:
        offsets = points_mm - np.array(eye_mm, np.float32).reshape(3, 1, 1, 1)
        eyes = np.maximum(eyes, ramp(np.float32(11.5) - np.sqrt((offsets**2).sum(axis=0))))
    solid = (1 - air) * (1 - eyes)
    return {Tissue.FAT: fat * solid, Tissue.MUSCLE: (1 - fat) * solid, Tissue.EYE: eyes}


def _vessels(
    grid: Grid,
    points_mm: FloatArray,
    below_skull_mm: FloatArray,
    cavity: FloatArray,
    fractions: Fractions,
    generator: np.random.Generator,
) -> FloatArray:
    """Return the sagittal sinus and thin curves (where two smooth fields cross zero) between the gyri."""
    across, _, up = points_mm
    sinus = ramp(3.0 - np.abs(across)) * ramp(6.0 - np.abs(below_skull_mm - 3.0)) * ramp(up + 5)
    first, second = (smooth_noise(grid, 9.0, generator) for _ in range(2))
    curves = ramp(np.float32(0.25) - np.hypot(first, second), 0.15)
    sulcal = np.clip(2 * (fractions[Tissue.CSF] + 0.3 * fractions[Tissue.GREY]), 0, 1)
    return np.maximum(sinus, 0.7 * curves * sulcal) * cavity
