"""The first step of the preprocessing for DICOM: read a series, or say in one sentence why not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from scripts.data.dicom_series import Series
from scripts.preflight.dicom_volume import examine_series
from scripts.preflight.loading import scan_image
from scripts.preflight.report import decide
from scripts.preflight.rules import Rules


class LoadDicomd(MapTransform):
    """Read series (1, slices, rows, columns) through the preflight checks, as ``LoadScand`` reads files.

    Args:
        keys: series, as :func:`scripts.data.dicom_choice.find_series` lists them.
        rules: what the user allows.
    """

    def __init__(self, keys: KeysCollection, rules: Rules | None = None) -> None:
        super().__init__(keys)
        self.rules = rules or Rules()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with images in place of series.

        Raises:
            BundleError: a check refuses the series.
        """
        output = dict(data)
        for key in self.key_iterator(output):
            series: Series = output[key]
            found = examine_series(series, self.rules)
            decide(series.key, found.reports)
            assert found.header is not None  # decide has raised otherwise
            assert found.voxels is not None
            output[key] = scan_image(found.voxels[None], found.header.affine, series.key, found.reports)
        return output
