"""Modalities of one scan have to lie on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from scripts.preflight.report import Level, Report, refuse
from scripts.preflight.rules import ResampleTo
from scripts.preflight.scan_header import TOLERANCE_MM, ScanHeader


def check_same_grid(headers: Sequence[ScanHeader]) -> Report | None:
    """Refuse modalities on another grid than the first, unless they are to be resampled."""
    first = headers[0]
    others = [header for header in headers[1:] if not same_grid(header, first)]
    if not others:
        return None
    other = others[0]
    found = (
        f"shape {other.space} beside {first.space}"
        if other.space != first.space
        else f"voxels up to {other.distance(first.affine):.4g} mm apart"
    )
    finding = f"expected {other.path.name} on the grid of {first.path.name}, found {found}"
    if first.rules.resample_to == ResampleTo.FIRST:
        return Report("same_grid", Level.WARNING, finding, "it is resampled to that grid")
    return refuse("same_grid", finding, "register and resample them, or give --resample_to first")


def same_grid(header: ScanHeader, other: ScanHeader) -> bool:
    """Tell whether two files have equal shapes, and voxels at the same places within 0.001 mm."""
    return header.space == other.space and header.distance(other.affine) <= TOLERANCE_MM


def align(voxels: NDArray[np.float32], header: ScanHeader, first: ScanHeader) -> NDArray[np.float32]:
    """Return volumes (C, X, Y, Z) on the grid of ``first``, resampled linearly where they are not."""
    if header is first or same_grid(header, first):
        return voxels
    grid = (first.space, first.affine)
    images = [nibabel.Nifti1Image(volume, header.affine) for volume in voxels]
    return np.stack(
        [
            np.asarray(resample_from_to(image, grid, order=1, mode="nearest").dataobj, np.float32)
            for image in images
        ]
    )
