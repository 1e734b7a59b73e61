"""A header under examination, with what the checks need to know about its file and its data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from scripts.io.content import is_compressed
from scripts.io.geometry import best_affine, read_header
from scripts.preflight.rules import Rules

TOLERANCE_MM = 1e-3
"""Differences below this are rounding of 32-bit header fields."""


@dataclass(frozen=True)
class ScanHeader:
    """The header of a NIfTI file, every field as stored."""

    path: Path
    rules: Rules = field(default_factory=Rules)
    channels: tuple[int, ...] | None = None
    """Volumes of a 4-D file that its data set names as the wanted modalities, in order."""

    @cached_property
    def fields(self) -> nibabel.Nifti1Header:
        """The header, in native byte order."""
        return read_header(self.path, mend=False)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Axes as stored, without those of length 1 at the end beyond the third."""
        shape = [int(length) for length in self.fields.get_data_shape()]
        while len(shape) > 3 and shape[-1] == 1:
            shape.pop()
        return tuple(shape)

    @property
    def space(self) -> tuple[int, int, int]:
        """The three axes in space; a 2-D image has one slice."""
        first, second, third = (*self.shape, 1, 1, 1)[:3]
        return first, second, third

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) the one affine that everything uses: sform, else qform, else voxel size.

        Raises:
            InputError: it is not finite or not invertible.
        """
        return best_affine(self.fields, self.path.name)

    @property
    def voxel_size(self) -> NDArray[np.float64]:
        """(3,) spacing of the affine along each stored axis, in the header's unit."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @cached_property
    def world_axes(self) -> tuple[int, int, int]:
        """Which stored axis runs left-right, which back-front, which foot-head."""
        nearest = nibabel.io_orientation(self.affine)[:, 0].astype(int).tolist()
        return nearest.index(0), nearest.index(1), nearest.index(2)

    def distance(self, affine: NDArray[np.float64]) -> float:
        """Return the largest distance of a corner voxel under this affine (4, 4) and the header's own."""
        corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in self.space))])
        return float(np.linalg.norm((corners @ (affine - self.affine).T)[:, :3], axis=1).max())

    def canonical(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return a view of a stored volume (X, Y, Z) whose axes run to the right, the front and the top."""
        return nibabel.apply_orientation(volume, nibabel.io_orientation(self.affine))

    @cached_property
    def compressed(self) -> bool:
        """Whether the file is compressed, by its content."""
        return is_compressed(self.path)

    @property
    def volumes(self) -> tuple[int, ...]:
        """Which volumes of the file are taken."""
        if self.channels is not None:
            return self.channels
        return (self.rules.volume or 0,) if len(self.shape) > 3 else (0,)
