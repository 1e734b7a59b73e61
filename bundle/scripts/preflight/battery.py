"""Every check in its order: file, header, grid, content, and the modalities of a scan against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.preflight.brain_mask import apply_mask, check_mask_grid, find_mask, read_mask
from scripts.preflight.content_checks import check_content, check_negative, mend_broken_voxels
from scripts.preflight.file_checks import FILE_CHECKS
from scripts.preflight.grid_checks import GRID_CHECKS, check_affine, check_voxel_size
from scripts.preflight.header_checks import HEADER_CHECKS
from scripts.preflight.modalities import align, check_coverage, check_same_grid
from scripts.preflight.quality_checks import check_quality
from scripts.preflight.reading import read_voxels
from scripts.preflight.report import Level, Report, collect, stops
from scripts.preflight.rules import BrainMask, Rules
from scripts.preflight.scan_header import ScanHeader


@dataclass(frozen=True)
class Examination:
    """What is known about the files of one scan; ``voxels`` are there unless a report refuses them."""

    headers: tuple[ScanHeader, ...]
    """One per file, the first one's grid is that of the scan."""
    reports: tuple[Report, ...]
    voxels: NDArray[np.float32] | None = None
    """(C, X, Y, Z) in the voxel order of the first file, safe fixes made."""
    mask: ScanHeader | None = None
    """Of the brain mask that is applied."""

    @property
    def name(self) -> str:
        """Name of the file that findings are about: the first."""
        return self.headers[0].path.name


def examine_headers(
    paths: Sequence[str | Path], rules: Rules | None = None, channels: Sequence[int] | None = None
) -> Examination:
    """Run every check that needs no voxel: milliseconds a file.

    Args:
        paths: The files of one scan, one per modality; or one.
        rules: What the user allows.
        channels: Volumes of a 4-D file that its data set names as the modalities.
    """
    chosen = None if channels is None else tuple(channels)
    headers = tuple(ScanHeader(Path(path), rules or Rules(), chosen) for path in paths)
    several = len(headers) > 1
    reports = [report for header in headers for report in _named(_check(header), header, several)]
    if several and not stops(reports):
        reports += collect([check_same_grid(headers)])
    mask: ScanHeader | None = None
    if headers[0].rules.brain_mask == BrainMask.APPLY and not stops(reports):
        mask, new = _check_mask(headers[0])
        reports += new
    return Examination(headers, tuple(reports), mask=mask)


def examine(
    paths: Sequence[str | Path],
    rules: Rules | None = None,
    channels: Sequence[int] | None = None,
    content: bool = True,
) -> Examination:
    """Run every check on the files of one scan, and read it.

    Args:
        paths: As for :func:`examine_headers`, and so the next two.
        rules: What the user allows.
        channels: Volumes of a 4-D file.
        content: Check the voxels too; False for masks.
    """
    found = examine_headers(paths, rules, channels)
    if stops(found.reports):
        return found
    reports = list(found.reports)
    volumes: list[NDArray[np.float32]] = []
    for header in found.headers:
        voxels = read_voxels(header)
        new = [voxels] if isinstance(voxels, Report) else examine_content(voxels, header) if content else []
        new = _named(new, header, len(found.headers) > 1)
        if content and volumes and not stops(new):
            new += collect([check_coverage(volumes[0][0], header, found.headers[0])])
        reports += new
        if isinstance(voxels, Report) or stops(new):
            return Examination(found.headers, tuple(reports))
        volumes.append(align(voxels, header, found.headers[0]))
    together = np.concatenate(volumes) if len(volumes) > 1 else volumes[0]
    if found.mask is not None:
        mask, new = read_mask(found.mask)
        reports += new
        if mask is None:
            return Examination(found.headers, tuple(reports))
        apply_mask(together, mask)
    return Examination(found.headers, tuple(reports), together, found.mask)


def _check(header: ScanHeader) -> list[Report]:
    """Run the checks without voxels on one file, up to the first refusal of what later ones rely on."""
    reports: list[Report] = []
    for check in FILE_CHECKS:
        reports += collect([check(header.path)])
        if stops(reports):
            return reports
    needed: tuple[Callable[[ScanHeader], Report | None], ...] = (
        *HEADER_CHECKS,
        check_voxel_size,
        check_affine,
    )
    for one in needed:
        reports += collect([one(header)])
        if stops(reports):
            return reports
    return reports + collect(one(header) for one in GRID_CHECKS)


def _check_mask(scan: ScanHeader) -> tuple[ScanHeader | None, list[Report]]:
    """Return the brain mask of a scan, and what refuses it."""
    mask = find_mask(scan)
    if isinstance(mask, Report):
        return None, [mask]
    refusals = [one for one in _named(_check(mask), mask, several=True) if one.level is Level.REFUSAL]
    return mask, refusals or collect([check_mask_grid(mask, scan)])


def examine_content(voxels: NDArray[np.float32], header: ScanHeader) -> list[Report]:
    """Run every check on voxels (C, X, Y, Z), up to the first refusal; safe fixes are made in place."""
    reports: list[Report] = []
    for volume in voxels:
        reports += _examine_volume(volume, header)
        if stops(reports):
            return reports
    return reports


def _examine_volume(volume: NDArray[np.float32], header: ScanHeader) -> list[Report]:
    # A view with the head upwards: what is mended in it is mended in the volume.
    canonical = header.canonical(volume)
    size = header.voxel_size[list(header.world_axes)]
    spacing = (float(size[0]), float(size[1]), float(size[2]))
    reports = collect([mend_broken_voxels(volume, canonical)])
    if not stops(reports):
        reports += collect([check_content(volume)])
    if not stops(reports):
        reports += collect([check_negative(volume), check_quality(canonical, spacing)])
    return reports


def _named(reports: Sequence[Report], header: ScanHeader, several: bool) -> list[Report]:
    """Return the reports; of a scan with several files, with the name of the file they are about."""
    return [report.about(header.path.name) if several else report for report in reports]
