"""Checks on what a header says about its voxels: how many, of which type, whether they can be there."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import nibabel
import psutil
from nibabel.spatialimages import HeaderDataError

from scripts.errors import ResourceError
from scripts.preflight.report import Level, Report, refuse
from scripts.preflight.scan_header import ScanHeader

BYTES_PER_VOXEL = 16
"""Peak memory of inference for each voxel of a scan: the scan in the network's orientation and one map."""
_FORM_CODES = range(6)
"""NIfTI's codes of a transform, from unknown to another template."""
_DEFLATE_LIMIT = 1032
"""How many bytes one byte of a gzip file can stand for at most."""

_silent = logging.getLogger(f"{__name__}.nibabel")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def check_fields(header: ScanHeader) -> Report | None:
    """Refuse a header that nibabel calls damaged, or reads otherwise than it is written."""
    fields = header.fields
    for name in ("sform_code", "qform_code"):
        if int(fields[name]) not in _FORM_CODES:  # nibabel takes it for 0, other viewers do not
            return _damaged(f"{name} {int(fields[name])}")
    slope, intercept, offset = (float(fields[name]) for name in ("scl_slope", "scl_inter", "vox_offset"))
    if not math.isfinite(offset) or (math.isfinite(slope) and slope and not math.isfinite(intercept)):
        return _damaged(f"scl_slope {slope}, scl_inter {intercept}, vox_offset {offset}")
    if fields.is_single and offset < fields.single_vox_offset:  # nibabel would read the header as voxels
        return _damaged(f"vox_offset {offset:g}, within the header")
    try:
        fields.copy().check_fix(_silent, error_level=40)
    except HeaderDataError as error:
        return _damaged(str(error))
    return None


def _damaged(what: str) -> Report:
    finding = f"expected a sound header, found a damaged one ({what})"
    return refuse("fields", finding, "convert or copy it again")


def check_data_type(header: ScanHeader) -> Report | None:
    """Refuse voxels that are not one real number each: colours, complex numbers, unknown types."""
    try:
        dtype = header.fields.get_data_dtype()
    except HeaderDataError as error:
        return refuse(
            "data_type", f"expected numbers as voxels, found an unknown type ({error})", "convert it"
        )
    if dtype.names is None and dtype.kind in "iuf":
        return None
    found = f"colours ({', '.join(dtype.names)})" if dtype.names else str(dtype)
    return refuse(
        "data_type", f"expected one real number per voxel, found {found}", "save magnitudes as float32"
    )


def check_dimensions(header: ScanHeader) -> Report | None:
    """Refuse anything that is not one volume: a series, vectors, a single slice nobody asked for."""
    shape = header.shape
    if not shape or min(shape) < 1:
        return refuse("dimensions", f"expected a volume, found shape {shape}", "convert or copy it again")
    if len(shape) > 4:
        return refuse("dimensions", f"expected a volume, found vectors of shape {shape}", "save one volume")
    if len(shape) == 4:
        return _check_series(header, shape[3])
    return _check_slices(header) if 1 in header.space else None


def check_size(header: ScanHeader) -> Report | None:
    """Refuse a header that claims more voxels than its file can hold, before memory is asked for."""
    expected = expected_bytes(header.fields)
    on_disk = header.path.stat().st_size
    if header.compressed and expected > on_disk * _DEFLATE_LIMIT:
        finding = f"the header claims {expected} bytes of shape {header.shape}, in a file of {on_disk} bytes"
        return refuse("size", finding, "the file is truncated or its header damaged; copy it again")
    if not header.compressed and expected > on_disk:
        return truncated(on_disk, expected)
    return None


def check_memory(header: ScanHeader) -> Report | None:
    """Refuse a scan that would need more memory than is free."""
    needed = math.prod(header.space) * BYTES_PER_VOXEL * len(header.volumes)
    free = psutil.virtual_memory().available
    if needed <= free:
        return None
    return refuse(
        "memory",
        f"expected a scan that fits into memory, found shape {header.shape}, which takes about "
        f"{needed / 2**30:.1f} GiB with {free / 2**30:.1f} GiB free",
        "resample it to 1 mm or use a machine with more memory",
        {"needed_bytes": needed, "free_bytes": free},
        ResourceError,
    )


def expected_bytes(fields: nibabel.Nifti1Header) -> int:
    """Return how many bytes, decompressed, a file with this header has at least."""
    voxels = math.prod(int(length) for length in fields.get_data_shape())
    return int(fields.get_data_offset()) + voxels * fields.get_data_dtype().itemsize


def truncated(found: int, expected: int) -> Report:
    """Return the refusal of a file that ends too early.

    Args:
        found: Bytes that are there, decompressed.
        expected: Bytes that the header promises.
    """
    finding = f"the file is truncated: it has {found} of {expected} bytes"
    return refuse("size", finding, "copy it again", {"bytes": found, "expected_bytes": expected})


HEADER_CHECKS: tuple[Callable[[ScanHeader], Report | None], ...] = (
    check_fields,
    check_data_type,
    check_dimensions,
    check_size,
    check_memory,
)
"""In this order; what comes later may rely on what came before."""


def _check_series(header: ScanHeader, volumes: int) -> Report | None:
    wanted = header.channels if header.channels is not None else (header.rules.volume,)
    chosen = [volume for volume in wanted if volume is not None]
    if not chosen:
        return refuse(
            "dimensions",
            f"expected one volume, found a 4-D file with {volumes}",
            f"choose one with --volume i (0 to {volumes - 1}), or save it as a 3-D file",
            {"volumes": volumes},
        )
    if max(chosen) >= volumes:
        return refuse(
            "dimensions",
            f"expected volume {max(chosen)}, found a 4-D file with {volumes}",
            f"choose one from 0 to {volumes - 1}",
            {"volumes": volumes},
        )
    return None


def _check_slices(header: ScanHeader) -> Report | None:
    if sorted(header.space)[1] == 1:
        return refuse("dimensions", f"expected a volume, found shape {header.shape}", "give a whole scan")
    if not header.rules.single_slice:
        return refuse(
            "dimensions",
            f"expected a volume, found a single slice of shape {header.shape}",
            "give the whole scan, or --single_slice true for slice-level results",
        )
    return Report(
        "dimensions",
        Level.WARNING,
        f"a single slice of shape {header.shape}",
        "results are slice-level, without volume context",
    )
