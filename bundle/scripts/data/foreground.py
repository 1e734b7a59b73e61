"""Where the head is in a scan whose intensities have no unit, zero or sign convention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scripts.errors import InputError

_NOISE_FACTOR = 4.0
# 8 %, and a little more: at a round number, voxels of a scan of whole numbers could lie on the threshold
# itself, and rounding would decide for a * x + b.
_SIGNAL_FRACTION = 0.08 * (1 + 1e-5)
_MAX_SAMPLES = 2_000_000
UPPER_HEAD_MM = 75.0
"""From the top of the head down to about the brows."""
SMALLEST_SECTION_MM2 = 2500.0
"""Through a head; what is less is its tip, or noise."""


@dataclass(frozen=True)
class Foreground:
    """Background level and foreground threshold of one channel, in the scan's own intensity units."""

    background: float
    threshold: float


def find_foreground(volume: np.ndarray, name: str = "scan") -> Foreground:
    """Find background level and foreground threshold from the in-plane border of a volume.

    The background is the median of the border, so it may have any value (0 is not assumed). The
    threshold lies above it by four robust standard deviations of the border, and by at least 8 % of
    the span to the 98th percentile. Both move with ``a * x + b`` for ``a > 0``, so what is computed
    from them ignores scale and offset.

    Args:
        volume: one channel, (X, Y, Z), slices along the last axis.
        name: what to call the scan in an error.

    Raises:
        InputError: the volume is constant, or holds NaN or infinity.
    """
    border = np.concatenate(
        [volume[edge].ravel() for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])]
    ).astype(np.float64)
    step = max(1, int(np.ceil((volume.size / _MAX_SAMPLES) ** (1 / 3))))
    sample = volume[::step, ::step, ::step].astype(np.float64)
    if not (np.isfinite(sample).all() and np.isfinite(border).all()):
        raise InputError(
            f"{name}: expected finite intensities, found NaN or infinity; repair the file first."
        )
    background = float(np.median(border))
    noise = 1.4826 * float(np.median(np.abs(border - background)))
    # Of what is not background: a small head in a large field of view must not pull the percentile down.
    signal = sample[sample > background + _NOISE_FACTOR * noise]
    span = float(np.percentile(signal, 98)) - background if signal.size else 0.0
    if span <= 0:
        raise InputError(f"{name}: expected a head brighter than its border, found no such image content.")
    return Foreground(background, background + max(_NOISE_FACTOR * noise, _SIGNAL_FRACTION * span))


def upper_head(volume: np.ndarray, spacing: Sequence[float], name: str = "scan") -> slice:
    """Return the slices of the upper head: what is measured there, removing a face does not change.

    Shared scans often have no face, for the sake of privacy, and some show a neck. So background,
    threshold, centre and intensity range are those of the upper head.

    Args:
        volume: (X, Y, Z), the last axis upwards.
        spacing: mm along each axis.
        name: what to call the scan in an error.

    Returns:
        The slices down to 75 mm below the highest section through the head; all of them without one.

    Raises:
        InputError: the volume is constant, or holds NaN or infinity.
    """
    slices = slice(0, volume.shape[2])
    for _ in range(2):  # a face has its part in the threshold, by which the top is found: not the second time
        threshold = find_foreground(volume[..., slices], name).threshold
        sections = (volume > threshold).sum(axis=(0, 1)) * spacing[0] * spacing[1]
        heads = np.flatnonzero(sections >= SMALLEST_SECTION_MM2)
        if heads.size:
            end = int(heads[-1]) + 1
            slices = slice(max(0, end - max(1, round(UPPER_HEAD_MM / spacing[2]))), end)
    return slices


def head_centre(volume: np.ndarray, threshold: float) -> tuple[float, float]:
    """Return the middle, in voxels, of the in-plane box around the head in a (X, Y, Z) volume.

    A row counts as head when it has at least 3 % of the foreground of the fullest row: single bright
    voxels (noise, ghosting) must not move the field of view, nor may the size of the matrix. The middle
    lies between two voxels, so that where a pixel is a whole number of voxels it covers exactly these in
    every scan; half a voxel to the side, every other scan would be blurred.
    """
    step = max(1, volume.shape[2] // 64)
    occupied = (volume[:, :, ::step] > threshold).sum(axis=2)
    centre = []
    for axis in (0, 1):
        counts = occupied.sum(axis=1 - axis)
        rows = np.flatnonzero(counts > 0.03 * counts.max())
        first, last = (rows[0], rows[-1]) if rows.size else (0, volume.shape[axis] - 1)
        centre.append(float((first + last) // 2) + 0.5)
    return centre[0], centre[1]
