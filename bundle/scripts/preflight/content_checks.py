"""Checks on the voxels of one volume; safe fixes are made in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from scripts.data.foreground import find_foreground
from scripts.errors import InputError
from scripts.preflight.report import Level, Report, refuse

FEW_VALUES = 16
MAX_BROKEN = 1e-3
"""Share of voxels inside the head that may be NaN or infinite."""
MAX_NEGATIVE = 0.05
LISTED = 100
"""Replaced voxels that are listed one by one."""
_SAMPLE = 500_000

Volume = NDArray[np.float32]


def mend_broken_voxels(stored: Volume, voxels: Volume) -> Report | None:
    """Set NaN and infinite voxels to the background where that is safe, refuse them elsewhere.

    Safe is outside of the head (there they often mean background), or less than 0.1 % of the voxels.

    Args:
        stored: as in the file, whose places are reported.
        voxels: a view of the same, (X, Y, Z) with the head upwards along the last axis.
    """
    broken = ~np.isfinite(voxels)
    count = int(broken.sum())
    if count == 0:
        return None
    if count == voxels.size:
        return refuse("finite", "expected finite intensities, found none", "repair the file")
    places = np.argwhere(~np.isfinite(stored))[:LISTED].tolist()
    voxels[broken] = background_level(voxels, ~broken)
    inside = int((broken & head_mask(voxels)).sum())
    numbers = {"count": count, "inside": inside, "voxels": places}
    found = f"{count} voxels are NaN or infinite, {inside} of them inside the head, the first at {places[0]}"
    if inside > 0 and count >= MAX_BROKEN * voxels.size:
        return refuse("finite", f"expected finite intensities, but {found}", "repair the file", numbers)
    return Report("finite", Level.WARNING, found, "they are set to the background", numbers=numbers)


def check_content(voxels: Volume) -> Report | None:
    """Refuse an image with next to no different values: empty, constant, a mask."""
    step = max(1, round((voxels.size / _SAMPLE) ** (1 / 3)))
    values = np.unique(voxels[::step, ::step, ::step])
    if values.size < FEW_VALUES:  # a sample may miss some; only now is it worth sorting them all
        values = np.unique(voxels)
    if values.size >= FEW_VALUES:
        return None
    kinds = f"{values.size} different values" if values.size > 1 else f"only the value {values[0]:g}"
    return refuse(
        "content",
        f"no image content: expected a scan, found {kinds}",
        "give the scan, not a mask",
        {"values": values.size},
    )


def check_negative(voxels: Volume) -> Report | None:
    """Warn of many negative voxels: the scan was standardised, or is no MR."""
    share = float((voxels < 0).mean())
    if share <= MAX_NEGATIVE:
        return None
    return Report(
        "negative",
        Level.WARNING,
        f"{share:.1%} of the voxels are negative: the scan may be standardised already, or not be MR",
        "scale and offset do not matter here, the background is found from the border",
        numbers={"share": share},
    )


def background_level(voxels: Volume, finite: NDArray[np.bool_] | None = None) -> float:
    """Return the median of the border; 0 or the lowest value where most of it is broken.

    A border that is NaN for lack of a scan is finite only where the head touches it.

    Args:
        voxels: (X, Y, Z), the head upwards along the last axis.
        finite: (X, Y, Z) voxels that are numbers; None where all are.
    """
    finite = np.isfinite(voxels) if finite is None else finite
    edges = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
    border = np.concatenate([voxels[edge].ravel() for edge in edges])
    known = np.concatenate([finite[edge].ravel() for edge in edges])
    return float(np.median(border[known])) if known.mean() > 0.5 else float(min(0, voxels[finite].min()))


def head_mask(voxels: Volume) -> NDArray[np.bool_]:
    """Return the head with its holes filled; all voxels where there is none to be found."""
    try:
        return binary_fill_holes(voxels > find_foreground(voxels).threshold)
    except InputError:
        return np.ones(voxels.shape, dtype=bool)
