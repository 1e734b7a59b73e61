"""A brain mask beside a scan: found by its name, checked, mended where that is safe, applied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, label

from scripts.data.layouts_files import find_brain_masks
from scripts.data.layouts_names import nifti_stem
from scripts.preflight.modalities import same_grid
from scripts.preflight.reading import read_voxels
from scripts.preflight.report import Level, Report, collect, refuse
from scripts.preflight.scan_header import ScanHeader

MOST_OF_VOLUME = 0.6
ADULT_ML = (800.0, 2000.0)
"""Volume of an adult's brain; a child's or one with large losses may lie outside."""

Mask = NDArray[np.bool_]


def find_mask(scan: ScanHeader) -> Report | ScanHeader:
    """Return the header of a scan's brain mask, or the refusal when there is none, or several."""
    masks = find_brain_masks(scan.path)
    if len(masks) == 1:
        return ScanHeader(masks[0], replace(scan.rules, volume=None))
    found = ", ".join(path.name for path in masks) or "none"
    wanted = f"{nifti_stem(scan.path)}_brain_mask.nii.gz"
    finding = f"expected one brain mask beside the scan, such as {wanted}, found {found}"
    return refuse("brain_mask", finding, "add one" if not masks else "keep one of them")


def check_mask_grid(mask: ScanHeader, scan: ScanHeader) -> Report | None:
    """Refuse a mask on another grid than its scan."""
    if same_grid(mask, scan):
        return None
    finding = f"expected the brain mask {mask.path.name} on the grid of the scan, found another"
    return refuse("brain_mask", finding, "resample the mask to the scan")


def read_mask(header: ScanHeader) -> tuple[Mask | None, list[Report]]:
    """Return a mask (X, Y, Z) with its holes filled and its largest part only, and what there is to say.

    The mask is None when a report refuses it.
    """
    stored = read_voxels(header)
    if isinstance(stored, Report):
        return None, [stored.about(header.path.name)]
    mask = stored[0] > 0
    share = float(mask.mean())
    if share == 0 or share > MOST_OF_VOLUME:
        found = "an empty one" if share == 0 else f"one that covers {share:.0%} of the volume"
        return None, [
            refuse("brain_mask", f"expected a mask of a brain, found {found}", "make the mask again")
        ]
    mended = _largest_part(binary_fill_holes(mask))
    return mended, collect([_report_mending(mask, mended), _check_size(mended, header)])


def apply_mask(voxels: NDArray[np.float32], mask: Mask) -> None:
    """Set everything outside of the mask to the background, 0 or less than the brain, in place.

    Args:
        voxels: (C, X, Y, Z).
        mask: (X, Y, Z).
    """
    for volume in voxels:
        volume[~mask] = min(0.0, float(volume[mask].min()))


def _largest_part(mask: Mask) -> Mask:
    parts, count = label(mask)
    if count < 2:
        return mask
    return np.asarray(parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()))


def _report_mending(given: Mask, mended: Mask) -> Report | None:
    added, removed = int((mended & ~given).sum()), int((given & ~mended).sum())
    if not added and not removed:
        return None
    return Report(
        "brain_mask",
        Level.WARNING,
        f"the brain mask has holes ({added} voxels) or parts apart ({removed} voxels)",
        "filled, and the largest part taken",
        numbers={"filled": added, "removed": removed},
    )


def _check_size(mask: Mask, header: ScanHeader) -> Report | None:
    volume = float(mask.sum()) * abs(float(np.linalg.det(header.affine[:3, :3]))) / 1000
    if ADULT_ML[0] <= volume <= ADULT_ML[1]:
        return None
    return Report(
        "brain_volume",
        Level.WARNING,
        f"the brain mask holds {volume:.0f} ml, an adult's brain {ADULT_ML[0]:.0f} to {ADULT_ML[1]:.0f} ml",
        "look at the mask",
        numbers={"volume_ml": volume},
    )
