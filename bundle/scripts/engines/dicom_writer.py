"""Everything that is written for one DICOM series: Parametric Maps, Segmentation, page, picture, result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor

import scripts
from scripts.data.dicom_series import Series
from scripts.engines.scan_writer import MASK, OVERVIEW, ScanWriter
from scripts.io.atomic import to_plain
from scripts.io.dicom_map import write_parametric_map
from scripts.io.dicom_mask import write_segmentation
from scripts.io.dicom_page import write_page
from scripts.io.dicom_planes import planes_of, stack_geometry
from scripts.io.dicom_reading import quiet, read_dicom
from scripts.io.dicom_source import DicomSource
from scripts.io.geometry import NiftiGeometry, source_geometry
from scripts.io.results import InputFile, ScanResult
from scripts.io.resume import SUFFIXES
from scripts.preflight.dicom_volume import volume_header
from scripts.report.scan_pdf import draw_scan_pdf
from scripts.uncertainty.maps import MapName, quantity_of

PAGE = "page"


class DicomWriter(ScanWriter):
    """Plans and writes the outputs of a series, see :class:`ScanWriter`."""

    suffixes: ClassVar[Mapping[str, str]] = {**SUFFIXES, "map": "dcm"}

    def kinds(self) -> list[str]:
        """Return what is written for each scan."""
        return [*super().kinds(), PAGE]

    def geometry(self, record: Mapping[str, Any]) -> NiftiGeometry:
        """Return the grid that the maps of a scan get: slices, rows, columns."""
        series: Series = record["image"]
        headers = [read_dicom(file, pixels=False) for file in series.files]
        with quiet():
            grid = stack_geometry(planes_of(headers))
        return source_geometry(volume_header(series.key, grid).fields)

    def inputs(self, record: Mapping[str, Any]) -> list[InputFile]:
        """Return the series with the hash of all its files; their names may name people."""
        series: Series = record["image"]
        return [InputFile(series.key, series.sha256)]

    def write(self, result: ScanResult, source: object, image: MetaTensor, pred: torch.Tensor) -> None:
        """Write maps, mask, picture and page, and fill ``result``; see the base class."""
        assert isinstance(source, Series)
        headers = [read_dicom(file, pixels=False) for file in source.files]
        number = int(source.number) if source.number.isdigit() else 0
        with quiet():
            origin = DicomSource.from_headers(headers, number, self._run(result), self.weights_sha256[:16])
        super().write(result, origin, image, pred)
        folder = self.output_dir / result.case
        pdf = draw_scan_pdf(result, folder / str(result.outputs[OVERVIEW]["name"]))
        path = folder / str(result.outputs[PAGE]["name"])
        write_page(pdf, origin, path, self._position(PAGE))

    def write_values(self, values: np.ndarray, source: object, path: Path, kind: str) -> None:
        """Write one map as Parametric Map, or the mask as Segmentation."""
        assert isinstance(source, DicomSource)
        position = self._position(kind)
        if kind == MASK:
            assert self.pixel_threshold is not None  # without one, no mask is made
            write_segmentation(values, source, path, self.pixel_threshold, position)
            return
        write_parametric_map(values, source, path, quantity_of(kind, self.settings["score"]), position)

    def _position(self, kind: str) -> int:
        return [*(name.value for name in MapName), MASK, PAGE].index(kind) + 1

    def _run(self, result: ScanResult) -> str:
        """Return everything that decides the content of the outputs, besides the series."""
        decisive = {
            "inputs": [one.sha256 for one in result.inputs],
            "weights": self.weights_sha256,
            "settings": self.settings,
            "pixel_threshold": result.calibration.pixel_threshold,
            "slice_threshold": result.calibration.slice_threshold,
            "version": scripts.__version__,
        }
        return json.dumps(decisive, sort_keys=True, default=to_plain)
