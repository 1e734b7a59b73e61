"""Everything that is written for one scan: maps, mask, picture, page, result."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Invertd
from monai.utils import CommonKeys, ensure_tuple

from scripts.data.slices import brain_slices, slice_levels
from scripts.evaluation.calibration import Calibration
from scripts.io.geometry import NiftiGeometry, source_geometry
from scripts.io.nifti import write_map
from scripts.io.results import Calibration as Thresholds
from scripts.io.results import InputFile, ScanResult, SliceResult, scan_score
from scripts.io.resume import SUFFIXES, planned_outputs
from scripts.io.space import check_space
from scripts.preflight.report import Level
from scripts.report.overview import plot_overview
from scripts.report.panels import map_units
from scripts.report.scan_page import write_scan_page
from scripts.uncertainty.maps import CHANNEL, MASK, MapName, check_finite_maps, map_in_units
from scripts.uncertainty.scores import ScoreRegion, masked_mean, scored_pixels, slice_score

OVERVIEW = "overview"
VIEWER = "viewer"
FLOAT_BYTES = 4
BELOW_BACKGROUND = "no mask: its threshold is below 0, the value of the background, which would be marked"

logger = logging.getLogger(__name__)


class ScanWriter:
    """Plans and writes the outputs of a scan into ``<output_dir>/<case>/``.

    Maps are brought back to the scan's grid and written one at a time: memory holds one at full size.

    Args:
        output_dir: folder of the cohort.
        invert: MONAI's ``Invertd`` of the preprocessing, for key ``pred``.
        weights_sha256: hash of the weights file.
        settings: everything that changes the numbers; must hold ``alpha``, ``score``, ``score_region``,
            ``pooling``, ``field_of_view`` and ``top_slices``.
        calibration: thresholds, or the reason why there are none.
        synthetic: the scans are phantoms; pictures say so.
        html: write a page to look at for each scan, and one that lists them.
    """

    suffixes: ClassVar[Mapping[str, str]] = SUFFIXES
    """Of the files, by kind."""

    def __init__(
        self,
        output_dir: str | Path,
        invert: Invertd,
        weights_sha256: str,
        settings: Mapping[str, Any],
        calibration: Calibration | str,
        synthetic: bool = False,
        html: bool = True,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.invert = invert
        self.weights_sha256 = weights_sha256
        self.settings = dict(settings)
        self.calibration = calibration
        self.pixel_threshold = _mask_threshold(calibration)
        self.synthetic = synthetic
        self.html = html

    def plan(self, record: Mapping[str, Any]) -> ScanResult:
        """Return the result of a scan before its run: inputs with hashes, settings, files to come.

        Raises:
            ResourceError: the disk has no room for the outputs, were they not compressed.
        """
        geometry = self.geometry(record)
        check_space(self.output_dir, math.prod(geometry.shape[:3]) * (len(MapName) * FLOAT_BYTES + 1))
        return ScanResult(
            case=record["case"],
            geometry=geometry.to_dict(),
            inputs=self.inputs(record),
            weights_sha256=self.weights_sha256,
            settings=self.settings,
            calibration=self.thresholds(),
            outputs=planned_outputs(record["case"], self.kinds(), self.suffixes),
        )

    def kinds(self) -> list[str]:
        """Return what is written for each scan."""
        mask = [MASK] if self.pixel_threshold is not None else []
        page = [VIEWER] if self.html else []
        return [*(name.value for name in MapName), *mask, OVERVIEW, *page]

    def geometry(self, record: Mapping[str, Any]) -> NiftiGeometry:
        """Return the grid that the maps of a scan get."""
        return source_geometry(ensure_tuple(record["image"])[0])

    def inputs(self, record: Mapping[str, Any]) -> list[InputFile]:
        """Return the files of a scan with their hashes."""
        return [InputFile.from_path(path) for path in ensure_tuple(record["image"])]

    def write_values(self, values: np.ndarray, source: object, path: Path, kind: str) -> None:
        """Write one map or the mask.

        Args:
            values: (X, Y, Z) float32, or uint8 for the mask, in the voxel order of the source.
            source: as given to :meth:`write`.
            path: of the file.
            kind: a :class:`MapName` or ``mask``.
        """
        name = "anomaly mask" if kind == MASK else kind
        assert isinstance(source, str | Path)
        write_map(values, source, path, f"{name}, research use only")

    def write(self, result: ScanResult, source: object, image: MetaTensor, pred: torch.Tensor) -> None:
        """Write maps, mask, picture and page, and fill ``result``.

        Args:
            result: the planned result.
            source: the scan's (first) file, whose grid the maps get.
            image: (C, X, Y, Z) preprocessed scan with its transforms.
            pred: (M, X, Y, Z) prediction.
        """
        check_finite_maps(result.case, pred)
        self._fill_slices(result, image, pred)
        folder = self.output_dir / result.case
        for name in MapName:
            values = self._on_scan_grid(image, map_in_units(name, image, pred))
            self.write_values(values, source, folder / str(result.outputs[name]["name"]), name)
            if name is MapName.ANOMALY and self.pixel_threshold is not None:
                mask = (values > self.pixel_threshold).astype(np.uint8)
                self.write_values(mask, source, folder / str(result.outputs[MASK]["name"]), MASK)
            del values
        self._draw(result, image.numpy()[0], self._shown_maps(pred))

    def thresholds(self) -> Thresholds:
        """Return what a result says of the calibration in use."""
        if isinstance(self.calibration, str):
            return Thresholds(reason=self.calibration)
        return Thresholds(
            source=self.calibration.source,
            pixel_threshold=self.pixel_threshold,
            reason=BELOW_BACKGROUND if self.pixel_threshold is None else None,
            slice_threshold=self.calibration.slice_threshold,
        )

    def _fill_slices(self, result: ScanResult, image: MetaTensor, pred: torch.Tensor) -> None:
        indices = brain_slices(image.numpy())
        images = image.as_tensor()[..., indices].permute(3, 0, 1, 2)
        maps = pred[..., indices].permute(3, 0, 1, 2).to(images.device)
        region = ScoreRegion(self.settings["score_region"])
        scored = scored_pixels(images, region is ScoreRegion.IMAGE)
        alpha, pooling = self.settings["alpha"], self.settings["pooling"]
        scores = slice_score(images, maps[:, 4:], maps[:, 1:2], alpha, region, pooling)
        epistemic, aleatoric = (
            masked_mean(maps[:, [CHANNEL[name]]], scored) for name in (MapName.EPISTEMIC, MapName.ALEATORIC)
        )
        limit = result.calibration.slice_threshold
        result.slices = [SliceResult(index) for index in range(image.shape[-1])]
        for row, (index, level) in enumerate(zip(indices.tolist(), slice_levels(indices), strict=True)):
            score = float(scores[row])
            result.slices[index] = SliceResult(
                slice=index,
                level=float(level),
                score=score,
                abnormal=None if limit is None else score > limit,
                epistemic_mean=float(epistemic[row]),
                aleatoric_mean=float(aleatoric[row]),
            )
        result.scan_score = scan_score([one.score for one in result.slices], self.settings["top_slices"])

    def _on_scan_grid(self, image: MetaTensor, values: torch.Tensor) -> np.ndarray:
        """Return a map (X, Y, Z) in the voxel order of the scan's file, float32."""
        data: dict[Hashable, Any] = {
            CommonKeys.IMAGE: image,
            CommonKeys.PRED: MetaTensor(values, meta=image.meta),
        }
        inverted = self.invert(data)[CommonKeys.PRED]
        return np.ascontiguousarray(inverted.numpy()[0], dtype=np.float32)

    def _shown_maps(self, pred: torch.Tensor) -> dict[str, np.ndarray]:
        """Return the maps and the mask (X, Y, Z) on the network's grid."""
        volumes = pred.cpu().numpy()
        maps = {name.value: volumes[CHANNEL[name]] for name in MapName}
        if self.pixel_threshold is not None:
            maps[MASK] = maps[MapName.ANOMALY.value] > self.pixel_threshold
        return maps

    def _draw(self, result: ScanResult, image: np.ndarray, maps: Mapping[str, np.ndarray]) -> None:
        folder = self.output_dir / result.case
        plot_overview(
            image,
            maps,
            [one.score for one in result.slices],
            result.calibration.slice_threshold,
            folder / str(result.outputs[OVERVIEW]["name"]),
            _title(result),
            units=map_units(self.settings["score"]),
            synthetic=self.synthetic,
        )
        if VIEWER in result.outputs:
            path = folder / str(result.outputs[VIEWER]["name"])
            write_scan_page(result, image, maps, self.calibration, path, self.synthetic)


def _mask_threshold(calibration: Calibration | str) -> float | None:
    """Return the threshold of the mask, None where there is none; the background of every map is 0."""
    if isinstance(calibration, str):
        return None
    if calibration.pixel_threshold < 0:
        logger.warning("%s (%.4g).", BELOW_BACKGROUND.capitalize(), calibration.pixel_threshold)
        return None
    return calibration.pixel_threshold


def _title(result: ScanResult) -> str:
    """Return the title of a scan's picture: its case, and which checks warn of it."""
    warned = [one["check"] for one in result.findings if one["level"] == Level.WARNING]
    hint = f" - WARNING: {', '.join(warned)}, see {result.case}_result.json" if warned else ""
    return f"{result.case}{hint}"
