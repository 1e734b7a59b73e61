from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.engines import scan_writer
from scripts.engines.scan_writer import ScanWriter
from scripts.io.results import Calibration, ScanResult
from scripts.uncertainty.scores import peak
from tests.heads import make_head, save_scan, scan_affine
from tests.inference_route import infer, make_model

SHAPE, SPACING = (34, 39, 9), (5.0, 5.5, 16.0)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of every picture, and an empty file in its place."""
    calls: list[tuple[Any, ...]] = []

    def record(*given: Any, **_: Any) -> None:
        calls.append(given)
        Path(given[4]).write_bytes(b"")

    monkeypatch.setattr(scan_writer, "plot_overview", record)
    return calls


def map_one(folder: Path, model: Path) -> None:
    save_scan(folder / "scans" / "plain.nii.gz", make_head(SHAPE, SPACING), scan_affine(SHAPE, SPACING))
    infer(folder / "scans", folder / "maps", model)


def test_the_picture_outlines_what_the_mask_marks(tmp_path, drawn) -> None:
    model = make_model(tmp_path / "model")
    map_one(tmp_path, model)
    threshold = json.loads((model / "calibration.json").read_text())["pixel_threshold"]
    ((image, maps, scores, _, path, title),) = drawn
    assert np.array_equal(maps["mask"], maps["anomaly"] > threshold)
    assert maps["mask"].any()
    assert image.shape == maps["mask"].shape == (128, 128, 9)
    assert (len(scores), path.name) == (9, "plain_overview.png")
    assert title == "plain - WARNING: slices, scope, see plain_result.json"  # 9 thick ones, no statistics


def test_a_threshold_below_the_background_makes_no_mask(tmp_path, drawn, caplog) -> None:
    model = make_model(tmp_path / "model")
    calibration = json.loads((model / "calibration.json").read_text())
    (model / "calibration.json").write_text(json.dumps(calibration | {"pixel_threshold": -0.5}))
    map_one(tmp_path, model)
    ((_, maps, _, limit, _, _),) = drawn
    assert "mask" not in maps
    assert limit == calibration["slice_threshold"]
    assert not list((tmp_path / "maps").rglob("*_mask.nii.gz"))
    assert "its threshold is below 0" in caplog.text
    (result,) = (tmp_path / "maps").rglob("*_result.json")
    thresholds = json.loads(result.read_text())["calibration"]
    assert thresholds["pixel_threshold"] is None
    assert "its threshold is below 0" in thresholds["reason"]


def test_without_thresholds_the_picture_has_no_mask(tmp_path, drawn) -> None:
    model = make_model(tmp_path / "model")
    (model / "calibration.json").unlink()
    map_one(tmp_path, model)
    ((_, maps, _, limit, _, _),) = drawn
    assert "mask" not in maps
    assert limit is None


def test_every_slice_has_the_figures_of_its_own_maps(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 16, 16, 6, generator=generator) + 0.1
    image[:, :4] = 0
    image[..., 0] = 0
    pred = torch.rand(5, 16, 16, 6, generator=generator)
    settings: dict[str, Any] = {
        "alpha": 0.25,
        "score_region": "foreground",
        "pooling": "peak",
        "top_slices": 2,
    }
    writer = ScanWriter(tmp_path, None, "ab", settings, "none")
    result = ScanResult("a", calibration=Calibration(slice_threshold=0.55))
    writer._fill_slices(result, MetaTensor(image), pred)
    assert result.slices[0].score is None
    for z, one in enumerate(result.slices[1:], start=1):
        inside = image[0, ..., z] > 0
        anomaly, epistemic, aleatoric, reconstruction = (pred[n, ..., z] for n in (1, 2, 3, 4))
        error = (image[0, ..., z] - reconstruction)[inside].square().mean()
        expected = 0.25 * error + 0.75 * peak(anomaly[None, None], inside[None, None])[0]
        assert one.score == pytest.approx(float(expected))
        assert one.level == pytest.approx((z - 1) / 4)
        assert one.epistemic_mean == pytest.approx(float(epistemic[inside].mean()))
        assert one.aleatoric_mean == pytest.approx(float(aleatoric[inside].mean()))
        assert one.abnormal is (one.score > 0.55)
    highest = sorted(one.score for one in result.slices[1:])[-2:]
    assert result.scan_score == pytest.approx(sum(highest) / 2)
