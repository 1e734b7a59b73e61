"""Checks on the files of a DICOM series: that they make one regular stack of images that can be decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.valuerep import DA, TM

from scripts.data.dicom_series import Kind, Series
from scripts.io.dicom_planes import Plane, is_multi_frame, planes_of
from scripts.preflight.report import Level, Report, refuse

SAME_DIRECTION = 1e-4
"""Largest difference of direction cosines that is rounding."""
RIGHT_ANGLE = 1e-3
SAME_PLACE_MM = 0.01
SPACING_TOLERANCE = 0.01
"""Largest deviation of one gap from the usual one, as a share of it; highdicom's own limit."""
DRIFT_MM = 0.1
"""Largest sideways shift over a whole stack that is rounding; more is a tilted gantry."""
SHORT_STACK_MM = 100.0
"""No brain, not even a newborn's, is covered by less."""
SEVERAL = "a series may hold several volumes (echoes, times, magnitude and phase): export one of them"


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


def check_person(stack: Stack) -> Report | None:
    """Refuse a series whose images are of several patients or studies; outputs are written for one."""
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID"):
        values = {str(header.get(keyword) or "") for header in stack.headers}
        if len(values) > 1:
            finding = f"expected images of one patient and study, found {len(values)} values of {keyword}"
            return refuse("dicom_person", finding, "export the series again")
    return None


def check_dates(stack: Stack) -> Report | None:
    """Refuse dates and times that are none: outputs must have the same, and may not have such."""
    header = stack.headers[0]
    for keyword, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        value = str(header.get(keyword) or "")
        try:
            kind(value)
        except ValueError:
            finding = f"expected a DICOM date or time as {keyword}, found something else"
            return refuse("dicom_dates", finding, "correct or empty it in the series")
    return None


def check_decoder(stack: Stack) -> Report | None:
    """Refuse compressed pixels that no installed package can decode."""
    for syntax in sorted({header.file_meta.TransferSyntaxUID for header in stack.headers}):
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            return refuse("dicom_codec", f"expected pixels that can be read, found {syntax.name}", "convert it")
        if not decoder.is_available:
            missing = "; ".join(decoder.missing_dependencies)
            return refuse("dicom_codec", f"pixels are compressed as {syntax.name}", f"install one of: {missing}")
    return None


def check_frames(stack: Stack) -> Report | None:
    """Refuse files that do not go together: several multi-frame files, or a mixture."""
    frames = [is_multi_frame(header) for header in stack.headers]
    if len(frames) == 1 or not any(frames):
        return None
    found = f"{sum(frames)} multi-frame and {len(frames) - sum(frames)} other files"
    return refuse("dicom_frames", f"expected one multi-frame file, or only others, found {found}", SEVERAL)


def check_photometric(stack: Stack) -> Report | None:
    """Refuse colours, and series in which some images are inverted."""
    found = {str(header.get("PhotometricInterpretation")) for header in stack.headers}
    if len(found) == 1 and found <= {"MONOCHROME1", "MONOCHROME2"}:
        return None
    what = ", ".join(sorted(found))
    return refuse("dicom_photometric", f"expected grey images of one kind, found {what}", "export the originals")


def check_attributes(stack: Stack) -> Report | None:
    """Refuse images without position, orientation, spacing or frame of reference."""
    wanted = ("position", "orientation", "spacing", "frame_of_reference")
    for name in wanted:
        without = [plane for plane in stack.planes if getattr(plane, name) is None]
        if without:
            finding = (
                f"expected the {name.replace('_', ' ')} of every image, "
                f"{len(without)} of {len(stack.planes)} have none, the first is {_image(without[0])}"
            )
            return refuse("dicom_attributes", finding, "export the series again, with all its attributes")
    return None


def check_values(stack: Stack) -> Report | None:
    """Refuse positions, spacings and directions that cannot be."""
    for plane in stack.planes:
        assert plane.orientation is not None
        assert plane.spacing is not None
        assert plane.position is not None
        row, column = plane.orientation[:3], plane.orientation[3:]
        angles = np.array([row @ row - 1, column @ column - 1, row @ column])
        numbers = np.concatenate([plane.position, plane.orientation, plane.spacing])
        if not np.isfinite(numbers).all() or (plane.spacing <= 0).any() or min(plane.shape) < 1:
            what = f"position {plane.position.tolist()}, spacing {plane.spacing.tolist()}, size {plane.shape}"
        elif np.abs(angles).max() > RIGHT_ANGLE:
            what = f"directions {plane.orientation.tolist()} that are not at right angles"
        else:
            continue
        return refuse("dicom_attributes", f"{_image(plane)}: found {what}", "export the series again")
    return None


def check_orientation(stack: Stack) -> Report | None:
    """Refuse images of several orientations: a localizer, reformatted images."""
    first = stack.planes[0]
    for plane in stack.planes:
        assert plane.orientation is not None
        off = float(np.abs(plane.orientation - first.orientation).max())
        if off > SAME_DIRECTION:
            finding = (
                f"expected one orientation, found another from {_image(plane)} at {_place(plane)} on "
                f"(directions differ by {off:.2g})"
            )
            return refuse("dicom_orientation", finding, "take the images of one orientation")
    return None


def check_same(stack: Stack) -> Report | None:
    """Refuse images of several sizes, spacings or frames of reference."""
    first = stack.planes[0]
    for plane in stack.sorted_planes:
        if plane.shape != first.shape:
            what = f"{plane.shape[0]} x {plane.shape[1]} pixels beside {first.shape[0]} x {first.shape[1]}"
        elif plane.frame_of_reference != first.frame_of_reference:
            what = "several frames of reference"
        elif not np.array_equal(plane.spacing, first.spacing):  # type: ignore[arg-type]  # neither is None here
            what = f"pixels of {plane.spacing} mm beside {first.spacing} mm"
        else:
            continue
        finding = f"expected images of one grid, found {what} at {plane.along:.2f} mm along the stack"
        return refuse("dicom_size", finding, "take the images of one grid")
    return None


def check_positions(stack: Stack) -> Report | None:
    """Refuse two images at one place, and gaps: the place is told in mm along the stack."""
    planes = stack.sorted_planes
    along = np.array([plane.along for plane in planes])
    gaps = np.diff(along)
    if gaps.size == 0:
        return None
    doubled = np.flatnonzero(gaps < SAME_PLACE_MM)
    if doubled.size:
        place = int(doubled[0])
        finding = (
            f"expected one image at each place, found {doubled.size} places with several, the first at "
            f"{along[place]:.2f} mm along the stack ({_image(planes[place])} and {_image(planes[place + 1])})"
        )
        return refuse("dicom_positions", finding, SEVERAL, {"along_mm": float(along[place])})
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > SPACING_TOLERANCE * usual)
    if not odd.size:
        return None
    place = int(odd[0])
    finding = (
        f"expected images {usual:.4g} mm apart, found {gaps[place]:.4g} mm between {along[place]:.2f} and "
        f"{along[place + 1]:.2f} mm along the stack ({_image(planes[place])} and {_image(planes[place + 1])})"
    )
    numbers = {"usual_mm": usual, "gap_mm": float(gaps[place]), "along_mm": float(along[place])}
    return refuse("dicom_positions", finding, "images are missing; export the whole series again", numbers)


def check_tilt(stack: Stack) -> Report | None:
    """Refuse images that are shifted sideways against each other: a tilted gantry."""
    planes = stack.sorted_planes
    first, last = planes[0], planes[-1]
    assert first.position is not None
    for plane in planes:
        assert plane.position is not None
        step = plane.position - first.position
        drift = float(np.linalg.norm(step - (step @ first.normal) * first.normal))
        if drift > DRIFT_MM:
            degrees = float(np.rad2deg(np.arctan2(drift, plane.along - first.along)))
            finding = (
                f"expected images straight above each other, found one {drift:.2f} mm off to the side at "
                f"{plane.along:.2f} mm along the stack of {last.along - first.along:.4g} mm ({degrees:.2g} degrees)"
            )
            return refuse("dicom_tilt", finding, "give the series without tilt", {"drift_mm": drift})
    return None


def check_missing_ends(stack: Stack) -> Report | None:
    """Warn of what may be missing at the ends of a stack, where no gap shows it."""
    numbers = [plane.number for plane in stack.planes if plane.number is not None]
    promised = [int(header.get("ImagesInAcquisition") or 0) for header in stack.headers]
    extent = stack.sorted_planes[-1].along - stack.sorted_planes[0].along
    signs = []
    if numbers and max(numbers) - min(numbers) + 1 != len(stack.planes):
        signs.append(f"{len(stack.planes)} images are numbered {min(numbers)} to {max(numbers)}")
    if max(promised) > len(stack.planes):
        signs.append(f"the scanner made {max(promised)} images, {len(stack.planes)} are here")
    if extent < SHORT_STACK_MM:
        signs.append(f"the stack is {extent:.4g} mm long")
    if stack.series.damaged:
        signs.append(f"{stack.series.damaged} DICOM files beside it are damaged")
    if not signs:
        return None
    return Report("dicom_ends", Level.WARNING, "; ".join(signs), "check that the series is complete")


def note_kind(stack: Stack) -> Report | None:
    """Say that images were computed from others, or that images of other kinds are left out."""
    left_out = stack.series.left_out
    if stack.series.kind is Kind.DERIVED:
        finding = "the images were computed from others (derived)"
        return Report("dicom_kind", Level.WARNING, finding, "prefer the original series")
    if not left_out:
        return None
    finding = f"{left_out} files of the series are localizers, derived images or no MR images"
    return Report("dicom_kind", Level.NOTE, finding, "they are left out")


DICOM_CHECKS: tuple[Callable[[Stack], Report | None], ...] = (
    check_person,
    check_dates,
    check_decoder,
    check_frames,
    check_photometric,
    check_attributes,
    check_values,
    check_orientation,
    check_same,
    check_positions,
    check_tilt,
    check_missing_ends,
    note_kind,
)
"""In this order; what comes later may rely on what came before."""


def check_stack(stack: Stack) -> Sequence[Report]:
    """Return what the checks find, up to the first refusal."""
    reports: list[Report] = []
    for check in DICOM_CHECKS:
        found = check(stack)
        if found is None:
            continue
        reports.append(found)
        if found.level is Level.REFUSAL:
            break
    return reports


def _image(plane: Plane) -> str:
    return "an image without number" if plane.number is None else f"image {plane.number}"


def _place(plane: Plane) -> str:
    return f"{plane.along:.2f} mm"
