"""The grid that synthetic heads are drawn on, and smooth random fields over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

FloatArray = NDArray[np.float32]

FIELD_OF_VIEW_MM = ((-104.0, 104.0), (-134.0, 98.0), (-70.0, 104.0))
"""Lower and upper edge of the scan along x (right), y (front) and z (up), in the space of ICBM152."""

_CUBIC = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)


@dataclass(frozen=True)
class Grid:
    """A scan's voxels: axis-aligned, RAS, covering :data:`FIELD_OF_VIEW_MM`.

    Attributes:
        spacing: voxel size in mm along x, y and z.
    """

    spacing: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels (X, Y, Z)."""
        x, y, z = (
            round((upper - lower) / step)
            for (lower, upper), step in zip(FIELD_OF_VIEW_MM, self.spacing, strict=True)
        )
        return x, y, z

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to millimetres, (4, 4)."""
        affine = np.diag([*self.spacing, 1.0])
        affine[:3, 3] = [
            lower + step / 2 for (lower, _), step in zip(FIELD_OF_VIEW_MM, self.spacing, strict=True)
        ]
        return affine

    def positions(self, axis: int) -> FloatArray:
        """Return the voxel centres along one axis in mm, (n,)."""
        first, step = self.affine[axis, 3], self.spacing[axis]
        return (first + step * np.arange(self.shape[axis])).astype(np.float32)

    def coordinates(self) -> FloatArray:
        """Return the voxel centres in mm, (3, X, Y, Z)."""
        return np.stack(np.meshgrid(*(self.positions(axis) for axis in range(3)), indexing="ij"))


def smooth_noise(grid: Grid, control_mm: float, generator: np.random.Generator) -> FloatArray:
    """Draw Gaussian noise of mean 0 and variance 1 that is smooth over about ``control_mm``.

    Normal numbers on a lattice of that pitch are spread by cubic B-splines, axis by axis, so a fine
    grid costs hardly more than a coarse one, and every grid samples the same field.

    Args:
        grid: where the noise is wanted.
        control_mm: pitch of the lattice in mm.
        generator: source of randomness; the number of draws does not depend on the grid.

    Returns:
        (X, Y, Z) field, float32.
    """
    bases = [_spline_basis(grid.positions(axis), axis, control_mm) for axis in range(3)]
    noise = generator.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for basis in bases:  # contracts the first axis and appends the new one: after three rounds (X, Y, Z)
        noise = np.tensordot(noise, basis, axes=(0, 1))
    return noise


def ramp(distance_mm: FloatArray, half_width_mm: float = 1.0) -> FloatArray:
    """Return a soft step, 0 to 1 around distance 0 (mm, positive inside): a surface with partial volume."""
    return np.clip(0.5 + distance_mm / (2 * half_width_mm), 0, 1, dtype=np.float32)


def _spline_basis(positions: FloatArray, axis: int, control_mm: float) -> FloatArray:
    lower, upper = FIELD_OF_VIEW_MM[axis]
    controls = lower + control_mm * np.arange(-1, np.ceil((upper - lower) / control_mm) + 2)
    basis = np.nan_to_num(_CUBIC((positions[:, None] - controls) / control_mm))
    return (basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32)
