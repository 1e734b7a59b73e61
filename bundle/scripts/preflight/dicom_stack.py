"""A DICOM series under examination: the headers of its files, and the planes of its images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pydicom.dataset import Dataset

from scripts.data.dicom_series import Series
from scripts.io.dicom_planes import Plane, planes_of


@dataclass(frozen=True)
class Stack:
    """A series with the headers of its files."""

    series: Series
    headers: tuple[Dataset, ...]

    @cached_property
    def planes(self) -> list[Plane]:
        """Every image, in the order of the files."""
        return planes_of(self.headers)

    @cached_property
    def sorted_planes(self) -> list[Plane]:
        """Every image along the stack; they need positions and orientations."""
        return sorted(self.planes, key=lambda plane: plane.along)
