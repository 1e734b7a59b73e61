"""The grid of a NIfTI file, read from its header alone; ``scripts.preflight`` judges it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from scripts.errors import InputError
from scripts.io.content import DAMAGE, open_content

HEADER_BYTES = 540
"""The size of a NIfTI-2 header; NIfTI-1 needs 348."""


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
    return NiftiGeometry(
        shape=tuple(int(length) for length in header.get_data_shape()),
        zooms=tuple(float(zoom) for zoom in header.get_zooms()[:3]),
        axis_codes="".join(nibabel.aff2axcodes(affine)),
        affine=affine,
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
        units=spatial_unit(header),
    )


def read_header(source: str | Path | nibabel.Nifti1Header, mend: bool = True) -> nibabel.Nifti1Header:
    """Return the header as nibabel understands it, in native byte order, without extensions.

    Args:
        source: A .nii, .nii.gz, .hdr or .img file of either byte order, or a header in memory.
        mend: Let nibabel refuse or silently correct impossible fields; False leaves every field as stored.

    Raises:
        InputError: No such file, or not a NIfTI file.
    """
    if isinstance(source, nibabel.Nifti1Header):
        return _parse(source.binaryblock, "header", mend)
    path = _header_file(Path(source))
    try:
        with open_content(path) as file:
            return _parse(file.read(HEADER_BYTES), path.name, mend)
    except (OSError, *DAMAGE) as error:
        raise InputError(
            f"{path}: expected a readable NIfTI file, given one that fails with: {error}"
        ) from error


def with_handedness(header: nibabel.Nifti1Header) -> nibabel.Nifti1Header:
    """Return the header with pixdim[0] 1 in the place of 0, as nifti1.h reads a qform's; a copy if so."""
    if header["pixdim"][0] == 0:
        header = header.copy()
        header["pixdim"][0] = 1
    return header


def best_affine(header: nibabel.Nifti1Header, name: str) -> NDArray[np.float64]:
    """Return the (4, 4) affine that nibabel uses for ``header``.

    Raises:
        InputError: It is not finite or not invertible; the message names ``name``.
    """
    try:
        affine = np.asarray(with_handedness(header).get_best_affine(), dtype=np.float64)
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


def _parse(block: bytes, name: str, mend: bool) -> nibabel.Nifti1Header:
    kinds = ((nibabel.Nifti1Header, 344, (b"n+1", b"ni1")), (nibabel.Nifti2Header, 4, (b"n+2", b"ni2")))
    for kind, position, magic in kinds:
        if len(block) >= kind.sizeof_hdr and block[position : position + 3] in magic:
            try:
                header = kind.from_fileobj(BytesIO(block[: kind.sizeof_hdr]), check=mend)
                return header.as_byteswapped("<")
            except HeaderDataError as error:
                raise InputError(f"{name}: the NIfTI header is damaged ({error})") from error
    raise InputError(f"{name}: not a NIfTI file (no NIfTI header in its first {HEADER_BYTES} bytes)")


def spatial_unit(header: nibabel.Nifti1Header) -> str:
    """Return the header's unit of length: mm, meter, micron or unknown."""
    try:
        return header.get_xyzt_units()[0]
    except KeyError:
        return "unknown"
