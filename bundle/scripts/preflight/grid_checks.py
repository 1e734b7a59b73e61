"""Checks on where a header says its voxels lie."""

from __future__ import annotations

from collections.abc import Callable

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scripts.data.straightening import is_sheared
from scripts.errors import InputError
from scripts.io.geometry import spatial_unit, with_handedness
from scripts.preflight.report import Level, Report, refuse
from scripts.preflight.scan_header import TOLERANCE_MM, ScanHeader

SPACING_MM = (0.05, 50.0)
"""Voxel sizes outside of this are in another unit."""
FEW_SLICES = 10
THICK_MM = 5.0
SMALLEST_MATRIX = 32
SMALLEST_FIELD_MM = 100.0
"""No brain, not even a newborn's, fits into a narrower axial slice with its surroundings."""


def check_voxel_size(header: ScanHeader) -> Report | None:
    """Refuse voxel sizes that are zero, negative or not finite; readers mend them in silence."""
    sizes = np.asarray(header.fields["pixdim"][1:4], dtype=np.float64)[: max(2, len(header.shape))]
    if np.isfinite(sizes).all() and (sizes > 0).all():
        return None
    return refuse(
        "voxel_size", f"expected positive voxel sizes, found pixdim {sizes.tolist()}", "repair the header"
    )


def check_affine(header: ScanHeader) -> Report | None:
    """Refuse an affine that is not finite or not invertible."""
    try:
        _ = header.affine
    except InputError:
        stored = [header.fields[name].tolist() for name in ("srow_x", "srow_y", "srow_z")]
        found = f"sform {stored}" if header.fields["sform_code"] else "an impossible qform"
        return refuse("affine", f"expected an invertible affine, found {found}", "repair the header")
    return None


def check_origin(header: ScanHeader) -> Report | None:
    """Refuse a header that says nothing about orientation and position, unless that was asked for."""
    if header.fields["sform_code"] or header.fields["qform_code"]:
        return None
    finding = "the header has neither sform nor qform: orientation and position are not known"
    if header.rules.assume_identity:
        remedy = "axes are taken as stored; sides and position in these outputs are assumptions"
        return Report("origin", Level.WARNING, finding, remedy)
    return refuse(
        "origin", finding, "convert it again, or take the axes as stored with --assume_identity true"
    )


def check_unit(header: ScanHeader) -> Report | None:
    """Refuse lengths that are not in millimetres."""
    unit, sizes = spatial_unit(header.fields), header.voxel_size
    if unit in ("meter", "micron"):
        finding = f"expected lengths in mm, found the unit {unit}"
    elif sizes.min() < SPACING_MM[0] or sizes.max() > SPACING_MM[1]:
        finding = f"expected voxels of {SPACING_MM[0]} to {SPACING_MM[1]:g} mm, found {_text(sizes)}"
    else:
        return None
    return refuse("unit", finding, "convert affine, pixdim and unit to mm")


def check_agreement(header: ScanHeader) -> Report | None:
    """Warn when sform and qform put the voxels at different places; the sform counts."""
    if not (header.fields["sform_code"] and header.fields["qform_code"]):
        return None
    distance = _distance(header)
    if distance <= TOLERANCE_MM:
        return None
    return Report(
        "sform_qform",
        Level.WARNING,
        f"sform and qform lie up to {distance:.4g} mm apart"
        if np.isfinite(distance)
        else "the qform is not a rotation",
        "the sform is used",
        numbers={"distance_mm": distance} if np.isfinite(distance) else {},
    )


def check_pixdim(header: ScanHeader) -> Report | None:
    """Warn when the affine's voxel size is not that of the header; the affine counts everywhere."""
    stored = np.asarray(header.fields["pixdim"][1:4], dtype=np.float64)[: max(2, len(header.shape))]
    sizes = header.voxel_size[: stored.size]
    if np.abs(sizes - stored).max() <= TOLERANCE_MM:
        return None
    return Report(
        "pixdim",
        Level.WARNING,
        f"the affine's voxel size {_text(sizes)} mm is not the header's {_text(stored)} mm",
        "the affine is used",
        numbers={"affine_mm": sizes.tolist(), "pixdim_mm": stored.tolist()},
    )


def check_shear(header: ScanHeader) -> Report | None:
    """Warn of axes that are not at right angles."""
    if not is_sheared(header.affine):
        return None
    axes = header.affine[:3, :3] / header.voxel_size
    cosines = np.abs(axes.T @ axes)[np.triu_indices(3, 1)]
    off = float(90 - np.rad2deg(np.arccos(np.clip(cosines.max(), 0, 1))))
    return Report(
        "shear",
        Level.WARNING,
        f"the axes are up to {off:.3g} degrees off a right angle (sheared)",
        "resampled to a straight grid and back",
        numbers={"degrees": off},
    )


def check_slices(header: ScanHeader) -> Report | None:
    """Warn of few or thick slices, with the voxel size that is in effect; slices stay as acquired."""
    axis = header.world_axes[2]
    count, thickness = header.space[axis], float(header.voxel_size[axis])
    if count >= FEW_SLICES and thickness < THICK_MM - 1e-3:
        return None
    size = " x ".join(f"{value:.4g}" for value in header.voxel_size)
    return Report(
        "slices",
        Level.WARNING,
        f"{count} slices {thickness:.4g} mm apart, voxels of {size} mm",
        "resampled in the plane only, between slices nothing is known",
        numbers={"slices": count, "voxel_size_mm": [float(value) for value in header.voxel_size]},
    )


def check_field_of_view(header: ScanHeader) -> Report | None:
    """Refuse a matrix or a field of view too small for a brain."""
    axes = list(header.world_axes[:2])
    matrix = [header.space[axis] for axis in axes]
    field = [length * float(header.voxel_size[axis]) for length, axis in zip(matrix, axes, strict=True)]
    if min(matrix) >= SMALLEST_MATRIX and min(field) >= SMALLEST_FIELD_MM:
        return None
    return refuse(
        "field_of_view",
        f"expected axial slices of at least {SMALLEST_MATRIX} x {SMALLEST_MATRIX} voxels and "
        f"{SMALLEST_FIELD_MM:g} mm, found {matrix[0]} x {matrix[1]} and {field[0]:.4g} x {field[1]:.4g} mm",
        "give a scan of the whole head",
        {"matrix": matrix, "field_of_view_mm": field},
    )


def note_axes(header: ScanHeader) -> Report | None:
    """Note the direction of the axes: left and right cannot be told apart in the image itself."""
    codes = "".join(nibabel.aff2axcodes(header.affine))
    return Report(
        "axes",
        Level.NOTE,
        f"axes run to {codes}",
        "left and right are as the header says, nothing can check it",
    )


GRID_CHECKS: tuple[Callable[[ScanHeader], Report | None], ...] = (
    check_origin,
    check_unit,
    check_agreement,
    check_pixdim,
    check_shear,
    check_slices,
    check_field_of_view,
    note_axes,
)
"""They need a usable affine: :func:`check_voxel_size` and :func:`check_affine` come before."""


def _distance(header: ScanHeader) -> float:
    """Return the largest distance of a corner under sform and qform, mm; NaN without a usable qform."""
    try:
        return header.distance(with_handedness(header.fields).get_qform())
    except (HeaderDataError, ValueError):
        return float("nan")


def _text(values: NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
