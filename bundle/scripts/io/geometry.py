"""The grid of a NIfTI file, read from its header alone, and what is doubtful about it."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scripts.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
HEADER_BYTES = 540
"""The size of a NIfTI-2 header; NIfTI-1 needs 348."""

TOLERANCE_MM = 1e-3
"""Differences below this are rounding of 32-bit header fields."""


@dataclass(frozen=True)
class NiftiGeometry:
    """Where the voxels of a file lie; :meth:`to_dict` is what ``result.json`` stores."""

    shape: tuple[int, ...]
    """As in the header, trailing 1s included."""
    zooms: tuple[float, ...]
    """The header's pixdim of the spatial axes, in ``units``."""
    axis_codes: str
    """For example "RAS": the direction in which each axis grows."""
    affine: NDArray[np.float64]
    """(4, 4), voxel indices to ``units``: the sform if it has a code, else the qform."""
    sform_code: int
    qform_code: int
    units: str
    """Spatial unit of the header: mm, meter, micron or unknown."""
    notes: tuple[str, ...] = ()
    """Findings that do not stop a run, one sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data: lists and numbers."""
        data = asdict(self) | {"affine": self.affine.tolist()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}


def source_geometry(source: str | Path | nibabel.Nifti1Header) -> NiftiGeometry:
    """Return the grid of a NIfTI-1 or NIfTI-2 file, compressed or not, whatever its name says.

    Args:
        source: A file, or a header in memory.

    Raises:
        InputError: No such file, not a NIfTI file, or its affine is not finite or not invertible.
    """
    header = read_header(source)
    name = "header" if isinstance(source, nibabel.Nifti1Header) else Path(source).name
    affine = best_affine(header, name)
    shape = tuple(int(length) for length in header.get_data_shape())
    return NiftiGeometry(
        shape=shape,
        zooms=tuple(float(zoom) for zoom in header.get_zooms()[:3]),
        axis_codes="".join(nibabel.aff2axcodes(affine)),
        affine=affine,
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
        units=_spatial_units(header),
        notes=tuple(_find_doubts(header, affine, shape)),
    )


def read_header(source: str | Path | nibabel.Nifti1Header) -> nibabel.Nifti1Header:
    """Return the header as nibabel understands it, in native byte order, without extensions.

    Args:
        source: A .nii, .nii.gz, .hdr or .img file of either byte order, or a header in memory.

    Raises:
        InputError: No such file, or not a NIfTI file.
    """
    if isinstance(source, nibabel.Nifti1Header):
        return _parse(source.binaryblock, "header")
    path = _header_file(Path(source))
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            return _parse(_first_bytes(file, compressed), path.name)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: expected a readable NIfTI file, given one that fails with: {error}"
        ) from error


def best_affine(header: nibabel.Nifti1Header, name: str) -> NDArray[np.float64]:
    """Return the (4, 4) affine that nibabel uses for ``header``.

    Raises:
        InputError: It is not finite or not invertible; the message names ``name``.
    """
    try:
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError) as error:
        raise InputError(
            f"{name}: the qform does not describe a grid ({error}); repair the header"
        ) from error
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError(f"{name}: expected an invertible affine, given {affine.tolist()}; repair the header")
    return affine


def _header_file(path: Path) -> Path:
    """Return the header's file: the .hdr of an .img, any other file itself."""
    name = path.name
    position = name.lower().rfind(".img")
    if position > 0 and name.lower()[position:] in (".img", ".img.gz"):
        return path.with_name(f"{name[:position]}.hdr{name[position + 4 :]}")
    return path


def _first_bytes(file: BinaryIO, compressed: bool) -> bytes:
    if not compressed:
        return file.read(HEADER_BYTES)
    with gzip.open(file) as content:
        return content.read(HEADER_BYTES)


def _parse(block: bytes, name: str) -> nibabel.Nifti1Header:
    kinds = ((nibabel.Nifti1Header, 344, (b"n+1", b"ni1")), (nibabel.Nifti2Header, 4, (b"n+2", b"ni2")))
    for kind, position, magic in kinds:
        if len(block) >= kind.sizeof_hdr and block[position : position + 3] in magic:
            try:
                return kind.from_fileobj(BytesIO(block[: kind.sizeof_hdr])).as_byteswapped("<")
            except HeaderDataError as error:
                raise InputError(f"{name}: the NIfTI header is damaged ({error})") from error
    raise InputError(f"{name}: not a NIfTI file (no NIfTI header in its first {HEADER_BYTES} bytes)")


def _spatial_units(header: nibabel.Nifti1Header) -> str:
    try:
        return header.get_xyzt_units()[0]
    except KeyError:
        return "unknown"


def _find_doubts(
    header: nibabel.Nifti1Header, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> list[str]:
    notes = []
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        notes.append("the header has neither sform nor qform: orientation and position are not known")
    if _spatial_units(header) in ("meter", "micron"):
        notes.append(f"the header's unit is {_spatial_units(header)}, read as mm")
    voxel, zooms = np.linalg.norm(affine[:3, :3], axis=0), np.asarray(header.get_zooms()[:3])
    if np.abs(voxel[: zooms.size] - zooms).max() > TOLERANCE_MM:
        notes.append(f"the affine's voxel size {_text(voxel)} mm is not the header's {_text(zooms)} mm")
    if header["sform_code"] and header["qform_code"]:
        distance = _distance(header, affine, shape)
        if not distance <= TOLERANCE_MM:
            notes.append(f"sform and qform lie up to {distance:.4g} mm apart: the sform is used")
    axes = affine[:3, :3] / voxel
    if np.abs(axes.T @ axes - np.eye(3)).max() > TOLERANCE_MM:
        notes.append("the axes of the affine are not at right angles (sheared)")
    return notes


def _distance(header: nibabel.Nifti1Header, affine: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return the largest distance between a corner under ``affine`` and under the qform, NaN without one."""
    try:
        difference = header.get_qform() - affine
    except (HeaderDataError, ValueError):
        return float("nan")
    lengths = (*shape, 1, 1, 1)[:3]
    corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in lengths))])
    return float(np.linalg.norm((corners @ difference.T)[:, :3], axis=1).max())


def _text(values: NDArray[Any]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
