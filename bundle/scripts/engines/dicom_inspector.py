"""Everything that is checked about a DICOM series before it is mapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from monai.data import Dataset

from scripts.data.dicom_series import Series
from scripts.engines.inspector import ScanInspector
from scripts.errors import InputError
from scripts.preflight.dicom_volume import examine_series
from scripts.preflight.report import decide
from scripts.preflight.rules import Rules


class DicomInspector(ScanInspector):
    """Checks series, voxels and scope, see :class:`ScanInspector`.

    Raises:
        InputError: a rule that has a meaning for NIfTI files only.
    """

    def __init__(self, dataset: Dataset, rules: Rules, **named: Any) -> None:
        if replace(rules, single_slice=False) != Rules():
            raise InputError(
                "Expected --single_slice at most for DICOM, got one of --volume, --assume_identity, "
                "--resample_to and --brain_mask; convert the series to NIfTI to use these."
            )
        super().__init__(dataset, rules, **named)

    def check_files(self, index: int) -> list[Path]:
        """Refuse a series by its headers, before its files are hashed; see the base class."""
        series: Series = self.record(index)["image"]
        decide(series.key, examine_series(series, self.rules, pixels=False).reports)
        return []

    def file_names(self, index: int) -> list[str]:
        """Return how many files a series has; their names may name people."""
        return [f"{len(self.record(index)['image'].files)} files"]
