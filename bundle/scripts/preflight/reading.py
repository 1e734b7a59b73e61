"""The one reader of a scan's voxels: by content, complete or not at all, on the affine of its header."""

from __future__ import annotations

import numpy as np
from nibabel.fileholders import FileHolder
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Header, Nifti2Image
from numpy.typing import NDArray

from scripts.io.content import DAMAGE, content_bytes, open_content, read_to_end
from scripts.preflight.header_checks import expected_bytes, truncated
from scripts.preflight.report import Report, refuse
from scripts.preflight.scan_header import ScanHeader


def read_voxels(header: ScanHeader) -> NDArray[np.float32] | Report:
    """Return the wanted volumes (C, X, Y, Z) in the file's voxel order, or the refusal of a damaged file.

    MONAI's reader trusts the name for compression, and takes the qform in silence where sform and
    pixdim disagree; SimpleITK fills what is missing with zeros. Hence one of our own, around nibabel's.
    """
    kind = Nifti2Image if isinstance(header.fields, Nifti2Header) else Nifti1Image
    try:
        with open_content(header.path) as file:
            stored = kind.from_file_map({"image": FileHolder(fileobj=file)}).dataobj
            if len(header.shape) > 3:
                beyond = (0,) * (len(stored.shape) - 4)  # axes of length 1 after the volumes
                parts = [np.asanyarray(stored[(..., volume, *beyond)]) for volume in header.volumes]
            else:
                parts = [np.asanyarray(stored)]
            voxels = np.stack([part.reshape(header.space).astype(np.float32, order="C") for part in parts])
            read_to_end(file)
    except (OSError, *DAMAGE) as error:
        return _damaged(header, error)
    return voxels


def _damaged(header: ScanHeader, error: Exception) -> Report:
    found, expected = content_bytes(header.path), expected_bytes(header.fields)
    if found < expected:
        return truncated(found, expected)
    finding = f"expected sound data, found a damaged file ({str(error) or type(error).__name__})"
    return refuse("size", finding, "copy it again")
