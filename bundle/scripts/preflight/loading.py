"""The first step of every preprocessing: read a scan, or say in one sentence why not."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImaged
from monai.utils import ensure_tuple
from numpy.typing import NDArray

from scripts.errors import InputError
from scripts.preflight.battery import Examination, examine
from scripts.preflight.report import Report, decide
from scripts.preflight.rules import Rules

FINDINGS = "findings"
"""Key of an image's metadata: the reports about its files, as JSON data."""


class LoadScand(LoadImaged):
    """Read scans (C, X, Y, Z) through the preflight checks; a ``LoadImaged``, because servers look for one.

    ``meta["findings"]`` of the image holds what was found and not refused.

    Args:
        keys: files of a scan: one, or one per modality in channel order.
        count: channels there have to be: a time series must not pass for modalities.
        rules: what the user allows.
        content: check the voxels too; False for masks, which hold two values or one.
        channels_key: where the record names the volumes of a 4-D file, if it does.
    """

    def __init__(
        self,
        keys: KeysCollection,
        count: int = 1,
        rules: Rules | None = None,
        content: bool = True,
        channels_key: str = "channels",
        allow_missing_keys: bool = False,
    ) -> None:
        with warnings.catch_warnings():
            # Where pydicom is installed, MONAI warns that a GPU codec is not; none of its readers is used.
            warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
            super().__init__(keys, image_only=True, allow_missing_keys=allow_missing_keys)
        self.count, self.rules, self.content = int(count), rules or Rules(), content
        self.channels_key = channels_key

    def __call__(self, data: Mapping[Hashable, Any], reader: object = None) -> dict[Hashable, Any]:
        """Return ``data`` with images in place of paths.

        Raises:
            BundleError: a check refuses the scan.
        """
        output = dict(data)
        for key in self.key_iterator(output):
            paths = ensure_tuple(output[key])
            found = examine(
                paths, self.rules, output.get(self.channels_key) if self.content else None, self.content
            )
            decide(found.name, found.reports)
            output[key] = self._image(found, str(paths[0]))
        return output

    def _image(self, found: Examination, path: str) -> MetaTensor:
        assert found.voxels is not None  # decide has raised otherwise
        if len(found.voxels) != self.count:
            raise InputError(
                f"{found.name}: expected {self.count} volumes, one per modality, found {len(found.voxels)}; "
                "check the modalities."
            )
        return scan_image(found.voxels, found.headers[0].affine, path, found.reports)


def scan_image(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], name: str, reports: Sequence[Report]
) -> MetaTensor:
    """Return a scan as the preprocessing takes it.

    Args:
        voxels: (C, X, Y, Z).
        affine: (4, 4) to mm, RAS.
        name: what messages call it.
        reports: what was found and not refused.
    """
    matrix = torch.from_numpy(affine.copy())
    meta = {
        "filename_or_obj": name,
        "original_affine": matrix.clone(),
        "spatial_shape": voxels.shape[1:],
        "original_channel_dim": float("nan"),
        "space": "RAS",
        FINDINGS: [report.to_dict() for report in reports],
    }
    return MetaTensor(torch.from_numpy(voxels), affine=matrix, meta=meta)
