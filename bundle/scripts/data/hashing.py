"""Hashes of files and of the volumes in them, read as a stream."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from scripts.errors import InputError
from scripts.io.content import DAMAGE, open_content

CHUNK = 1 << 20


def content_hash(record: Mapping) -> str:
    """Return the SHA-256 of the voxels of a scan record, 64 hexadecimal digits.

    What is hashed is the stored voxel type, the grid's shape and the voxels as stored, decompressed:
    a copy under another name, compressed again or with another header text, hashes alike. Of a 4-D
    file with ``channels``, only these count, each as the 3-D file with the same voxels would. Several
    volumes are combined in order.

    Args:
        record: A scan record (:func:`scripts.data.datalist.find_scans`): ``image``, maybe ``channels``.

    Raises:
        InputError: A file cannot be read, is no NIfTI file, is truncated or has too few channels.
    """
    images = record["image"]
    paths = [images] if isinstance(images, str | Path) else list(images)
    digests = [digest for path in paths for digest in _volume_hashes(Path(path), record.get("channels"))]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _volume_hashes(path: Path, channels: Sequence[int] | None) -> list[str]:
    """Return the hash of the whole volume of a file, or one for each of its channels."""
    try:
        with open_content(path) as file:
            header = _read_header(file)
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            if channels is None:
                return [_hash_voxels(file, path, shape, dtype)]
            last = _last_channel(path, shape, channels)
            hashes = [_hash_voxels(file, path, shape[:3], dtype) for _ in range(last + 1)]
            return [hashes[channel] for channel in channels]
    except (OSError, *DAMAGE) as error:
        raise InputError(
            f"Expected a whole NIfTI file, but '{path}' cannot be read ({error}); copy it again."
        ) from error
    except (ValueError, HeaderDataError, WrapStructError) as error:
        raise InputError(f"Expected a NIfTI file, but '{path}' is none ({error}); convert it.") from error


def _read_header(file: BufferedIOBase) -> nib.Nifti1Header:
    """Read a NIfTI-1 or NIfTI-2 header and go to the first voxel."""
    start = file.read(4)
    is_second = int.from_bytes(start, "little") == 540 or int.from_bytes(start, "big") == 540
    kind = nib.Nifti2Header if is_second else nib.Nifti1Header
    block = start + file.read(kind.template_dtype.itemsize - 4)
    header = kind(block)
    file.seek(int(header.get_data_offset()))
    return header


def _last_channel(path: Path, shape: Sequence[int], channels: Sequence[int]) -> int:
    if len(shape) != 4 or max(channels) >= shape[3]:
        raise InputError(
            f"Expected a 4-D file with at least {max(channels) + 1} channels, but '{path}' has shape "
            f"{tuple(shape)}; check it against dataset.json."
        )
    return max(channels)


def _hash_voxels(file: BufferedIOBase, path: Path, shape: Sequence[int], dtype: np.dtype) -> str:
    """Hash the next volume of the stream; axes of length 1 after the third say nothing."""
    shape = [*shape[:3], *(length for length in shape[3:] if length != 1)]
    digest = hashlib.sha256(f"{dtype.str} {'x'.join(map(str, shape))}\n".encode())
    size = missing = math.prod(int(length) for length in shape) * dtype.itemsize
    while missing and (chunk := file.read(min(CHUNK, missing))):
        digest.update(chunk)
        missing -= len(chunk)
    if missing:
        raise InputError(
            f"Expected {size} bytes of voxels in '{path}', but it is truncated: {size - missing} are there; "
            "copy it again."
        )
    return digest.hexdigest()
