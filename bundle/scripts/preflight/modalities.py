"""Modalities of one scan have to lie on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from scripts.preflight.content_checks import background_level, head_mask
from scripts.preflight.report import Level, Report, refuse
from scripts.preflight.rules import ResampleTo
from scripts.preflight.scan_header import TOLERANCE_MM, ScanHeader

MOST_MISSING = 0.01
"""Share of the head that another modality may leave out: the rim of a volume."""


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
    """Return volumes (C, X, Y, Z) on the grid of ``first``, resampled linearly where they are not.

    Where a volume does not reach, it is its background.
    """
    if header is first or same_grid(header, first):
        return voxels
    levels = [background_level(header.canonical(volume)) for volume in voxels]
    return np.stack(
        [_resample(volume, header, first, level) for volume, level in zip(voxels, levels, strict=True)]
    )


def check_coverage(head: NDArray[np.float32], header: ScanHeader, first: ScanHeader) -> Report | None:
    """Refuse a modality that leaves out part of the head: nothing is known there.

    Args:
        head: (X, Y, Z) voxels of ``first``.
        header: of the modality.
        first: of the first modality.
    """
    if header is first or same_grid(header, first):
        return None
    inside = head_mask(first.canonical(head))
    covered = first.canonical(_resample(np.ones(header.space, np.float32), header, first, 0.0)) > 0
    missing = float((inside & ~covered).sum() / inside.sum())
    if missing <= MOST_MISSING:
        return None
    names = f"{header.path.name} to cover the head in {first.path.name}"
    finding = f"expected {names}, {missing:.0%} of it lies outside"
    return refuse("coverage", finding, "give one that covers the head", {"missing": missing})


def _resample(
    volume: NDArray[np.float32], header: ScanHeader, first: ScanHeader, outside: float
) -> NDArray[np.float32]:
    # The outermost voxels reach beyond their centres; repeated once, they are interpolated there.
    start = header.affine @ np.array([-1.0, -1.0, -1.0, 1.0])
    affine = np.column_stack([header.affine[:, :3], start])
    image = nibabel.Nifti1Image(np.pad(volume, 1, mode="edge"), affine)
    moved = resample_from_to(image, (first.space, first.affine), order=1, mode="constant", cval=outside)
    return np.asarray(moved.dataobj, np.float32)
