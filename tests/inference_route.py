"""The inference of ``configs/inference.json`` with a small random network, for tests of the whole route."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from scripts import BUNDLE_ROOT
from scripts.evaluation.calibration import calibrate
from scripts.io.results import ScanResult, file_sha256, read_result, result_path
from scripts.uncertainty.lesion_mapper import LesionMapper

NETWORK: dict[str, Any] = {"widths": [8, 16], "heads": 2, "samples": 2}


def make_mapper(**changes: Any) -> LesionMapper:
    """Return the small network with the default score, untrained; ``changes`` of its arguments."""
    return LesionMapper(**{"score": "lesion", "pooling": "peak", "slice_smoothing": 6.0} | NETWORK | changes)


def make_model(folder: Path, seed: int = 0, constant: float | None = None) -> Path:
    """Write random weights, and thresholds that fit them, into ``folder`` and return it.

    Args:
        folder: the ``model_dir``.
        seed: of the weights.
        constant: make every reconstruction this normalised intensity.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapper = make_mapper()
    if constant is not None:
        with torch.no_grad():
            # Four outputs a head, one for each pixel that space-to-depth had joined: lesion, mean, variance.
            mapper.heads.weight[4:8] = 0
            mapper.heads.bias[4:8] = constant
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(mapper.state_dict(), folder / "model.pt")
    thresholds = calibrate(
        np.linspace(0, 1, 50),
        np.linspace(0, 1, 50),
        [f"p{index % 5}" for index in range(50)],
        [np.linspace(0, 1, 1000)],
        weights_sha256=file_sha256(folder / "model.pt"),
        alpha=0.0,
        modalities=["t1ce"],
        field_of_view=240.0,
        **mapper.settings(),
        source="made up",
        pixel_quantile=0.7,
    )
    (folder / "calibration.json").write_text(json.dumps(thresholds.to_json()))
    return folder


@dataclass
class Inferred:
    """The outputs of a run over a folder of scans."""

    folder: Path
    results: dict[str, ScanResult]

    def image(self, case: str, kind: str = "anomaly") -> nibabel.Nifti1Image:
        """Return one written map."""
        return nibabel.load(self.folder / case / str(self.results[case].outputs[kind]["name"]))

    def values(self, case: str, kind: str = "anomaly") -> NDArray[Any]:
        """Return one written map (X, Y, Z) in the voxel order of its scan."""
        return np.asanyarray(self.image(case, kind).dataobj)

    def scores(self, case: str) -> NDArray[np.float64]:
        """Return the score of each slice along the canonical z axis, NaN for skipped ones."""
        scores = [np.nan if one.score is None else one.score for one in self.results[case].slices]
        return np.array(scores)


DICOM = ("inference.json", "inference_dicom.yaml")
"""The config files of inference on DICOM."""


def open_config(
    scans: Path, output: Path, model: Path, configs: Sequence[str] = ("inference.json",), **overrides: Any
) -> ConfigParser:
    """Return the config of inference on the CPU, without pages, with the weights loaded."""
    config = ConfigParser()
    config.read_config([str(BUNDLE_ROOT / "configs" / name) for name in configs])
    given = {"dataset_dir": str(scans), "output_dir": str(output), "model_dir": str(model), "html": False}
    for key, value in (given | NETWORK | {"device": torch.device("cpu")} | overrides).items():
        config[key] = value
    last = len(config["initialize"]) - 1
    config.get_parsed_content(f"initialize#{last}")  # loads the weights; the other entries are for commands
    return config


def infer(
    scans: Path, output: Path, model: Path, configs: Sequence[str] = ("inference.json",), **overrides: Any
) -> Inferred:
    """Run inference as the bundle does, but for the pages, and read back what it wrote."""
    evaluator = open_config(scans, output, model, configs, **overrides).get_parsed_content("evaluator")
    evaluator.run()
    cases = [result.case for result in evaluator.results]
    return Inferred(output, {case: read_result(result_path(output, case)) for case in cases})
