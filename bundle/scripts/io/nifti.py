"""The one writer of NIfTI maps: geometry from the source, everything else set here.

Only the fields that say where the voxels lie are taken from the source. Names, descriptions and
extensions of the source are left behind: they may hold the identity of a patient.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from scripts.errors import InputError, ModelError, ResourceError
from scripts.io.atomic import atomic_path, full_suffix
from scripts.io.geometry import NiftiGeometry, best_affine, read_header, source_geometry

__all__ = ["NiftiGeometry", "source_geometry", "write_map"]

GEOMETRY_FIELDS = (
    "pixdim",
    "dim_info",
    "xyzt_units",
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "srow_x",
    "srow_y",
    "srow_z",
)

DESCRIPTION_BYTES = 79
"""The field has 80; the last stays 0 for readers that expect a C string."""

_SLAB_BYTES = 8 * 2**20
_WINDOW_SAMPLES = 100_000


def write_map(
    array: NDArray[Any],
    source: str | Path | nibabel.Nifti1Header,
    path: str | Path,
    description: str,
) -> Path:
    """Write one volume on the grid of ``source``, atomically, and return ``path``.

    Shape and affine equal the source's bit for bit: sform and qform with their codes, pixdim and
    units are copied, and trailing axes of length 1 come back. A source with several volumes
    gives a 3-D map on the same grid. Values are stored as they are (slope 1, intercept 0). The same
    array gives the same bytes. The file is read back and compared before it gets its name. Extra
    memory is a few slabs of 8 MiB.

    Args:
        array: (X, Y, Z) float32, or uint8 for a mask, in the voxel order of ``source``.
        source: The scan that the map belongs to, or its header.
        path: Ends in .nii or .nii.gz.
        description: Goes into the header, cut to 79 bytes.

    Raises:
        InputError: ``path`` is the source itself or no NIfTI name, or the source has no usable grid.
        ModelError: A value is NaN or infinite, or the shape or dtype is another.
        ResourceError: The file cannot be written, or reads back differently.
    """
    path = Path(path)
    _check_path(path, source)
    header = read_header(source)
    affine = best_affine(header, path.name)
    _check_array(array, header, path)
    values = array.reshape(_output_shape(header))
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    # Without an affine nibabel leaves the geometry fields of the header alone.
    output = kind(values, None, _make_header(header, values, description))
    output.header["scl_slope"], output.header["scl_inter"] = 1, 0
    with atomic_path(path) as temporary:
        nibabel.save(output, temporary)
        # One open file for all slabs: a compressed one would be unpacked from its start for each.
        _compare(kind.from_filename(temporary, mmap=False, keep_file_open=True), values, affine, path)
    return path


def _check_path(path: Path, source: str | Path | nibabel.Nifti1Header) -> None:
    if full_suffix(path).lower() not in (".nii", ".nii.gz"):
        raise InputError(f"{path}: expected a name that ends in .nii or .nii.gz for a map")
    if isinstance(source, str | Path) and path.resolve() == Path(source).resolve():
        raise InputError(f"{path}: the map would replace its own scan; choose another output folder")


def _check_array(array: NDArray[Any], header: nibabel.Nifti1Header, path: Path) -> None:
    shape = (*header.get_data_shape(), 1, 1)[:3]
    if array.shape != shape:
        raise ModelError(f"{path.name}: expected a map of shape {shape} like the scan, given {array.shape}")
    if array.dtype not in (np.float32, np.uint8):
        raise ModelError(f"{path.name}: expected float32 or uint8 values, given {array.dtype}")
    for slab in _slabs(array):
        if not np.isfinite(array[slab]).all():
            place = np.argwhere(~np.isfinite(array[slab]))[0] + [0, 0, slab[2].start]
            raise ModelError(
                f"{path.name}: NaN or infinite value at voxel {place.tolist()}; nothing is written"
            )


def _output_shape(header: nibabel.Nifti1Header) -> tuple[int, ...]:
    shape = tuple(header.get_data_shape())
    return shape if all(length == 1 for length in shape[3:]) else shape[:3]


def _make_header(
    source: nibabel.Nifti1Header, values: NDArray[Any], description: str
) -> nibabel.Nifti1Header:
    header = type(source)()
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    for field in GEOMETRY_FIELDS:
        header[field] = source[field]
    # Cut between characters, not inside one.
    header["descrip"] = description.encode()[:DESCRIPTION_BYTES].decode(errors="ignore").encode()
    header["cal_min"], header["cal_max"] = _display_window(values)
    return header


def _display_window(values: NDArray[Any]) -> tuple[float, float]:
    """Return the range viewers show at first: 0 to 1 for a mask, 0 to the 99.5th percentile for a map.

    The percentile is that of the non-zero values among about 100,000 evenly spaced ones; negative
    values move the lower end likewise.
    """
    if values.dtype == np.uint8:
        return 0.0, 1.0
    step = max(1, round((values.size / _WINDOW_SAMPLES) ** (1 / 3)))
    sample = values[(slice(None, None, step),) * min(3, values.ndim)]
    sample = sample[sample != 0]
    if not sample.size:
        return 0.0, 0.0
    low, high = np.percentile(sample, (0.5, 99.5))
    return min(0.0, float(low)), max(0.0, float(high))


def _compare(
    image: nibabel.Nifti1Image, values: NDArray[Any], affine: NDArray[np.float64], path: Path
) -> None:
    """Raise ResourceError unless the written ``image`` has the shape, affine and values that went in."""
    same = image.shape == values.shape and np.array_equal(image.affine, affine)
    same = same and image.get_data_dtype() == values.dtype
    if not (same and all(np.array_equal(image.dataobj[slab], values[slab]) for slab in _slabs(values))):
        raise ResourceError(f"{path}: reads back differently from what was written; check the disk")


def _slabs(values: NDArray[Any]) -> Iterator[tuple[slice, ...]]:
    """Yield the indices of slabs of about 8 MiB, along the third axis as NIfTI stores it."""
    if values.ndim < 3:
        yield (slice(None),) * values.ndim
        return
    depth = max(1, _SLAB_BYTES * values.shape[2] // max(1, values.nbytes))
    for start in range(0, values.shape[2], depth):
        yield slice(None), slice(None), slice(start, start + depth)
