"""A DICOM series read as one volume by highdicom, after every check; geometry travels with the voxels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from highdicom import Image, Volume, VolumeGeometry, get_volume_from_series
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scripts.data.dicom_series import Series
from scripts.io.dicom_planes import is_multi_frame, stack_geometry
from scripts.io.dicom_reading import quiet, read_dicom
from scripts.preflight.battery import examine_content
from scripts.preflight.dicom_checks import SAME_DIRECTION, check_stack
from scripts.preflight.dicom_stack import Stack
from scripts.preflight.grid_checks import GRID_CHECKS
from scripts.preflight.header_checks import check_dimensions, check_memory
from scripts.preflight.report import Report, collect, refuse, stops
from scripts.preflight.rules import Rules
from scripts.preflight.scan_header import ScanHeader

_SAME_PLACE_MM = 1e-3
_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""DICOM counts to the left and back, NIfTI to the right and front."""


@dataclass(frozen=True)
class VolumeHeader(ScanHeader):
    """The grid of a series as a NIfTI header in memory, so that the checks of grids serve both."""

    made: nibabel.Nifti1Header = field(default_factory=nibabel.Nifti2Header)

    @property
    def fields(self) -> nibabel.Nifti1Header:
        """The header."""
        return self.made


@dataclass(frozen=True)
class Examined:
    """What is known about a series; header and voxels are there unless a report refuses them."""

    reports: tuple[Report, ...]
    header: VolumeHeader | None = None
    voxels: NDArray[np.float32] | None = None
    """(slices, rows, columns)."""


def examine_series(series: Series, rules: Rules | None = None, pixels: bool = True) -> Examined:
    """Run every check on a series, and read it.

    Args:
        series: as listed.
        rules: what the user allows; of these only ``single_slice`` has a meaning for DICOM.
        pixels: False leaves out what needs the pixels.
    """
    with quiet():
        headers = _read(series, pixels=False)
        if isinstance(headers, Report):
            return Examined((headers,))
        stack = Stack(series, headers)
        try:
            reports = check_stack(stack)
        except (ValueError, TypeError, AttributeError) as error:
            # Letters or several values where a number belongs; no element that every file has to have.
            reports = [_damaged(error)]
        if stops(reports):
            return Examined(tuple(reports))
        geometry = stack_geometry(stack.planes)
        header = volume_header(series.key, geometry, rules)
        for check in (check_dimensions, check_memory, *GRID_CHECKS):
            reports += collect([check(header)])
            if stops(reports):
                return Examined(tuple(reports), header)
        if not pixels:
            return Examined(tuple(reports), header)
        voxels = _read_voxels(series, geometry)
        if isinstance(voxels, Report):
            return Examined((*reports, voxels), header)
        reports += examine_content(voxels[None], header)
        return Examined(tuple(reports), header, voxels)


def volume_header(name: str, geometry: VolumeGeometry, rules: Rules | None = None) -> VolumeHeader:
    """Return a header in memory with the grid (slices, rows, columns) of ``geometry``, in 64 bits."""
    made = nibabel.Nifti2Header()
    made.set_data_dtype(np.float32)
    made.set_data_shape(geometry.spatial_shape)
    made.set_zooms(geometry.spacing)
    made.set_sform(_FLIP @ geometry.affine, code=1)
    made.set_xyzt_units("mm")
    return VolumeHeader(Path(name), rules or Rules(), made=made)


def _read(series: Series, pixels: bool) -> tuple[Dataset, ...] | Report:
    try:
        return tuple(read_dicom(file, pixels=pixels) for file in series.files)
    except Exception as error:  # pydicom and zipfile raise many kinds for damaged files
        return _damaged(error)


def _read_voxels(series: Series, geometry: VolumeGeometry) -> NDArray[np.float32] | Report:
    """Return the voxels as real numbers, bright is much, or the refusal of pixels that cannot be decoded."""
    datasets = _read(series, pixels=True)
    if isinstance(datasets, Report):
        return datasets
    # Inverted images are turned around below: highdicom would do it within the range of each slice.
    options = {"dtype": np.float32, "apply_real_world_transform": False, "apply_presentation_lut": False}
    try:
        if is_multi_frame(datasets[0]):
            volume = Image.from_dataset(datasets[0], copy=False).get_volume(**options)  # type: ignore[arg-type]
        else:
            volume = get_volume_from_series(datasets, orientation_tol=SAME_DIRECTION, **options)  # type: ignore[arg-type]
    except Exception as error:  # highdicom, pydicom and each codec raise their own
        return _damaged(error)
    if _is_elsewhere(volume, geometry):
        return refuse("dicom_volume", "highdicom places the images elsewhere", "please report it")
    voxels = cast(NDArray[np.float32], volume.array)
    return voxels.max() + voxels.min() - voxels if _is_inverted(datasets[0]) else voxels


def _is_elsewhere(volume: Volume, geometry: VolumeGeometry) -> bool:
    """Tell whether pixels lie on another grid; highdicom takes a single slice for 1 mm thick."""
    first = 1 if geometry.spatial_shape[0] == 1 else 0
    moved = np.abs(volume.affine - geometry.affine)[:3, first:]
    return volume.spatial_shape != geometry.spatial_shape or float(moved.max()) > _SAME_PLACE_MM


def _is_inverted(header: Dataset) -> bool:
    shape = str(header.get("PresentationLUTShape") or "")
    return shape == "INVERSE" or (not shape and header.get("PhotometricInterpretation") == "MONOCHROME1")


def _damaged(error: Exception) -> Report:
    # The text of the error may quote values of the file, and these may name people.
    finding = f"expected images that can be read, found a damaged one ({type(error).__name__})"
    return refuse("dicom_damaged", finding, "export the series again")
