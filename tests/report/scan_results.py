"""A made-up result with its maps, for the pages about scans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scripts.evaluation.calibration import Calibration, calibrate
from scripts.io.results import Calibration as Thresholds
from scripts.io.results import InputFile, ScanResult, SliceResult, Status, scan_score

SHAPE = (32, 32, 9)
SCORED = range(2, 8)
SETTINGS = {
    "score": "squared_error",
    "alpha": 0.5,
    "samples": 2,
    "seed": 0,
    "noise": "normal",
    "region": "foreground",
    "pooling": "mean",
    "slice_smoothing": 0.0,
}


class MadeUp(NamedTuple):
    """What a page is made from."""

    result: ScanResult
    image: np.ndarray
    maps: dict[str, np.ndarray]
    calibration: Calibration


def make_scan(case: str = "case", factor: float = 1.0) -> MadeUp:
    """Return a head with a spot that moves from slice to slice, masked; ``factor`` scales its scores."""
    generator = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    head = (x**2 + y**2 < 0.7)[..., None] & (np.arange(SHAPE[2]) > 0)
    image = (head * generator.uniform(0.3, 0.8, SHAPE)).astype(np.float32)
    maps = {
        name: (image * scale).astype(np.float32)
        for name, scale in {"anomaly": 2, "epistemic": 1e-4, "aleatoric": 1e-2, "reconstruction": 1}.items()
    }
    for index in SCORED:
        maps["anomaly"][8 + index : 12 + index, 14:17, index] = 5
    maps["mask"] = maps["anomaly"] > 4
    calibration = _calibrate()
    return MadeUp(_result(case, factor, calibration), image, maps, calibration)


def _calibrate() -> Calibration:
    return calibrate(
        np.linspace(0, 0.5, 50),
        np.linspace(0, 0.79, 50),  # no normal slice in the two highest bands
        [f"p{index % 5}" for index in range(50)],
        [np.linspace(0, 4, 1000)],
        weights_sha256="0" * 64,
        modalities=["t1ce"],
        field_of_view=240.0,
        **SETTINGS,
        source="made up",
    )


def _result(case: str, factor: float, calibration: Calibration) -> ScanResult:
    limit = calibration.slice_threshold
    slices = [SliceResult(index) for index in range(SHAPE[2])]
    for index in SCORED:
        score = factor * (0.1234567 + 0.1 * (index - 2))
        level = (index - SCORED[0]) / (len(SCORED) - 1)
        slices[index] = SliceResult(index, level, score, score > limit, 1.2345e-4 * index, 2.3456e-2)
    return ScanResult(
        case,
        Status.OK,
        scan_score=scan_score([one.score for one in slices], 3),
        inputs=[InputFile(f"{case}.nii.gz", "1" * 64)],
        weights_sha256="0" * 64,
        settings={**SETTINGS, "field_of_view": 240.0, "top_slices": 3},
        calibration=Thresholds("made up", calibration.pixel_threshold, limit),
        findings=[
            {"check": "axes", "level": "note", "finding": "axes run to RAS", "remedy": "nothing"},
            {"check": "scope", "level": "warning", "finding": "p = 0.001 <b>", "remedy": "maps mean little"},
        ],
        slices=slices,
        outputs={"viewer": {"name": f"{case}_viewer.html", "sha256": None}},
    )
