"""Where the images of a DICOM series lie: single-frame files or one multi-frame file, seen the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import CoordinateSystemNames, VolumeGeometry
from numpy.typing import NDArray
from pydicom.dataset import Dataset

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """One image; numbers that its file does not say are NaN."""

    number: int | None
    """Of the instance, or of the frame."""
    position: Vector
    """(3,) centre of the first pixel, mm, patient coordinates of DICOM (LPS)."""
    orientation: Vector
    """(6,) directions of a row and of a column."""
    spacing: Vector
    """(2,) mm between rows, between columns."""
    step: float | None
    """To the next slice, or else the thickness of this one, mm; None where the file says neither."""
    shape: tuple[int, int]
    """Rows, columns."""
    frame_of_reference: str
    """Its UID, or nothing."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return "an image without number" if self.number is None else f"image {self.number}"

    @property
    def normal(self) -> Vector:
        """(3,) unit vector along which slices are stacked, right-handed as highdicom has it."""
        return np.cross(self.orientation[3:], self.orientation[:3])

    @property
    def along(self) -> float:
        """Position along the normal, mm."""
        return float(self.position @ self.normal)


def planes_of(headers: Sequence[Dataset]) -> list[Plane]:
    """Return every image of single-frame files, or every frame of multi-frame ones, in the order given."""
    return [plane for header in headers for plane in _planes(header)]


def is_multi_frame(header: Dataset) -> bool:
    """Tell whether a file keeps the geometry of its images per frame."""
    return "PerFrameFunctionalGroupsSequence" in header


def stack_geometry(planes: Sequence[Plane]) -> VolumeGeometry:
    """Return the grid (slices, rows, columns) of planes that have passed every check, in any order.

    The distance of slices is measured; of a single one it is what the file says, or else 1 mm.
    """
    first = min(planes, key=lambda plane: plane.along)
    extent = max(plane.along for plane in planes) - first.along
    step = extent / (len(planes) - 1) if len(planes) > 1 else first.step or 1.0
    return VolumeGeometry.from_attributes(
        image_position=first.position.tolist(),
        image_orientation=first.orientation.tolist(),
        rows=first.shape[0],
        columns=first.shape[1],
        pixel_spacing=first.spacing.tolist(),
        spacing_between_slices=step,
        number_of_frames=len(planes),
        frame_of_reference_uid=first.frame_of_reference,
        coordinate_system=CoordinateSystemNames.PATIENT,
    )


def _planes(header: Dataset) -> list[Plane]:
    if not is_multi_frame(header):
        return [_plane(header, [header], header.get("InstanceNumber"))]
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    frames = header.PerFrameFunctionalGroupsSequence
    return [_plane(header, _groups([frame, *shared]), number) for number, frame in enumerate(frames, start=1)]


def _plane(header: Dataset, places: Sequence[Dataset], number: object) -> Plane:
    return Plane(
        number=int(str(number)) if number is not None and str(number).lstrip("-").isdigit() else None,
        position=_numbers(places, "ImagePositionPatient", 3),
        orientation=_numbers(places, "ImageOrientationPatient", 6),
        spacing=_numbers(places, "PixelSpacing", 2),
        step=_step([*places, header]),
        shape=(int(header.get("Rows") or 0), int(header.get("Columns") or 0)),
        frame_of_reference=str(header.get("FrameOfReferenceUID") or ""),
    )


def _groups(items: Sequence[Dataset]) -> list[Dataset]:
    """Return the items of the functional groups that hold geometry, those of the frame first."""
    names = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
    return [item[name][0] for item in items for name in names if name in item and len(item[name].value)]


def _numbers(places: Sequence[Dataset], keyword: str, count: int) -> Vector:
    for place in places:
        value = place.get(keyword)
        numbers = np.atleast_1d(np.array([] if value is None else value, dtype=np.float64))
        if numbers.size == count:
            return numbers
    return np.full(count, np.nan)


def _step(places: Sequence[Dataset]) -> float | None:
    found = [place.get(keyword) for keyword in ("SpacingBetweenSlices", "SliceThickness") for place in places]
    return next((float(value) for value in found if value is not None and value > 0), None)
