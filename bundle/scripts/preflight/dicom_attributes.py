"""Checks on the attributes of a DICOM series: whose it is, whether its pixels can be decoded and placed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.valuerep import DA, TM

from scripts.data.dicom_series import Kind
from scripts.io.dicom_planes import Plane, is_multi_frame
from scripts.preflight.dicom_stack import Stack
from scripts.preflight.report import Level, Report, refuse

RIGHT_ANGLE = 1e-3
"""Cosine of two directions, or excess of a length over 1, from which on it is no rounding."""
SEVERAL = "a series may hold several volumes (echoes, times, magnitude and phase): export one of them"


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
            return refuse(
                "dicom_codec", f"expected pixels that can be read, found {syntax.name}", "convert it"
            )
        if not decoder.is_available:
            missing = "; ".join(decoder.missing_dependencies)
            return refuse(
                "dicom_codec", f"pixels are compressed as {syntax.name}", f"install one of: {missing}"
            )
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
    return refuse(
        "dicom_photometric", f"expected grey images of one kind, found {what}", "export the originals"
    )


def check_attributes(stack: Stack) -> Report | None:
    """Refuse images without position, orientation, spacing or frame of reference."""
    said: dict[str, Callable[[Plane], object]] = {
        "position": lambda plane: not np.isnan(plane.position).any(),
        "orientation": lambda plane: not np.isnan(plane.orientation).any(),
        "spacing": lambda plane: not np.isnan(plane.spacing).any(),
        "frame of reference": lambda plane: plane.frame_of_reference,
    }
    for name, is_said in said.items():
        without = [plane for plane in stack.planes if not is_said(plane)]
        if without:
            finding = (
                f"expected the {name} of every image, {len(without)} of {len(stack.planes)} have none, "
                f"the first is {without[0].name}"
            )
            return refuse("dicom_attributes", finding, "export the series again, with all its attributes")
    return None


def check_values(stack: Stack) -> Report | None:
    """Refuse positions, spacings and directions that cannot be."""
    for plane in stack.planes:
        row, column = plane.orientation[:3], plane.orientation[3:]
        angles = np.array([row @ row - 1, column @ column - 1, row @ column])
        numbers = np.concatenate([plane.position, plane.orientation, plane.spacing])
        if not np.isfinite(numbers).all() or (plane.spacing <= 0).any() or min(plane.shape) < 1:
            what = f"position {plane.position.tolist()}, spacing {plane.spacing.tolist()}, size {plane.shape}"
        elif np.abs(angles).max() > RIGHT_ANGLE:
            what = f"directions {plane.orientation.tolist()} that are not at right angles"
        else:
            continue
        return refuse("dicom_attributes", f"{plane.name}: found {what}", "export the series again")
    return None


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


ATTRIBUTE_CHECKS: tuple[Callable[[Stack], Report | None], ...] = (
    check_person,
    check_dates,
    check_decoder,
    check_frames,
    check_photometric,
    check_attributes,
    check_values,
    note_kind,
)
"""In this order; what comes later may rely on what came before."""
