"""Checks that the images of a DICOM series make one regular stack; places are told in mm along it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scripts.preflight.dicom_attributes import ATTRIBUTE_CHECKS, SEVERAL
from scripts.preflight.dicom_stack import Stack
from scripts.preflight.report import Level, Report, refuse

SAME_DIRECTION = 1e-4
"""Largest difference of direction cosines that is rounding."""
SAME_PLACE_MM = 0.01
SPACING_TOLERANCE = 0.01
"""Largest deviation of one gap from the usual one, as a share of it; highdicom's own limit."""
DRIFT_MM = 0.1
"""Largest sideways shift over a whole stack that is rounding; more is a tilted gantry."""
SHORT_STACK_MM = 100.0
"""No brain, not even a newborn's, is covered by less."""


def check_orientation(stack: Stack) -> Report | None:
    """Refuse images of several orientations: a localizer, reformatted images."""
    first = stack.planes[0]
    for plane in stack.planes:
        off = float(np.abs(plane.orientation - first.orientation).max())
        if off > SAME_DIRECTION:
            finding = (
                f"expected one orientation, found another from {plane.name} at {plane.along:.2f} mm on "
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
        elif not np.array_equal(plane.spacing, first.spacing):
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
            f"{along[place]:.2f} mm along the stack ({planes[place].name} and {planes[place + 1].name})"
        )
        return refuse("dicom_positions", finding, SEVERAL, {"along_mm": float(along[place])})
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > SPACING_TOLERANCE * usual)
    if not odd.size:
        return None
    place = int(odd[0])
    finding = (
        f"expected images {usual:.4g} mm apart, found {gaps[place]:.4g} mm between {along[place]:.2f} and "
        f"{along[place + 1]:.2f} mm along the stack ({planes[place].name} and {planes[place + 1].name})"
    )
    numbers = {"usual_mm": usual, "gap_mm": float(gaps[place]), "along_mm": float(along[place])}
    return refuse("dicom_positions", finding, "images are missing; export the whole series again", numbers)


def check_tilt(stack: Stack) -> Report | None:
    """Refuse images that are shifted sideways against each other: a tilted gantry."""
    planes = stack.sorted_planes
    first, last = planes[0], planes[-1]
    for plane in planes:
        step = plane.position - first.position
        drift = float(np.linalg.norm(step - (step @ first.normal) * first.normal))
        if drift > DRIFT_MM:
            degrees = float(np.rad2deg(np.arctan2(drift, plane.along - first.along)))
            finding = (
                f"expected images straight above each other, found one {drift:.2f} mm off to the side at "
                f"{plane.along:.2f} mm along the stack of {last.along - first.along:.4g} mm "
                f"({degrees:.2g} degrees)"
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


STACK_CHECKS: tuple[Callable[[Stack], Report | None], ...] = (
    check_orientation,
    check_same,
    check_positions,
    check_tilt,
    check_missing_ends,
)
"""They need what ``ATTRIBUTE_CHECKS`` let pass; in this order."""


def check_stack(stack: Stack) -> list[Report]:
    """Return what the checks find, up to the first refusal."""
    reports: list[Report] = []
    for check in (*ATTRIBUTE_CHECKS, *STACK_CHECKS):
        found = check(stack)
        if found is None:
            continue
        reports.append(found)
        if found.level is Level.REFUSAL:
            break
    return reports
