from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.engines.calibration_file import find_calibration
from scripts.errors import InputError
from scripts.evaluation.calibration import Calibration
from tests.inference_route import make_mapper, make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def find(
    folder: Path,
    alpha: float = 0.0,
    weights: str | None = None,
    modalities: Sequence[str] = ("t1ce",),
    field_of_view: float = 240,
    **network: object,
) -> Calibration | str:
    path = folder / "calibration.json"
    stored = json.loads(path.read_text())["weights_sha256"] if path.exists() else ""
    inputs = {"modalities": list(modalities), "field_of_view": field_of_view}
    return find_calibration(str(path), weights or stored, make_mapper(**network), alpha, inputs)


def test_thresholds_of_these_weights_and_settings_are_found(model: Path) -> None:
    found = find(model)
    assert isinstance(found, Calibration)
    assert found.source == "made up"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alpha": 0.25}, "alpha 0.0 (given 0.25)"),
        ({"weights": "f" * 64}, "(given ffffffffffff)"),
        ({"modalities": ["flair"]}, "modalities t1ce (given flair)"),
        ({"modalities": ["t1ce", "flair"]}, "modalities t1ce (given t1ce+flair)"),
        ({"field_of_view": 300.0}, "field_of_view 240.0 (given 300.0)"),
        ({"samples": 3}, "samples 2 (given 3)"),
        ({"seed": 1}, "seed 0 (given 1)"),
        (
            {"noise": "antithetic"},
            "noise normal, drop_rate 0.1 (given antithetic, drop_rate 0.1)",
        ),
        ({"drop_rate": 0.2}, "noise normal, drop_rate 0.1 (given normal, drop_rate 0.2)"),
        ({"region": "image", "slice_smoothing": 0.0}, "region foreground (given image)"),
        ({"slice_smoothing": 0.0}, "slice_smoothing 6.0 (given 0.0)"),
        ({"score": "nll"}, "score lesion (given nll)"),
    ],
)
def test_thresholds_of_others_are_left_out_with_the_reason(
    model: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object], reason: str
) -> None:
    found = find(model, **change)
    assert isinstance(found, str)
    assert reason in found
    assert found in caplog.text


def test_missing_file_is_a_reason(tmp_path: Path) -> None:
    assert find(tmp_path) == "no calibration file calibration.json beside the weights"


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"pixel_threshold": 1}', b"NaN", b"\xff\x00"])
def test_damaged_file_is_an_error(model: Path, tmp_path: Path, damage: bytes) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "calibration.json").write_bytes(damage)
    with pytest.raises(InputError, match="calibration.json: expected a calibration"):
        find_calibration(str(tmp_path / "model" / "calibration.json"), "", make_mapper(), 0.0, {})


@pytest.mark.parametrize("value", [None, "1.5", True, float("nan"), float("inf")])
def test_threshold_that_is_no_number_is_an_error(model: Path, tmp_path: Path, value: object) -> None:
    content = json.loads((model / "calibration.json").read_text()) | {"pixel_threshold": value}
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="pixel_threshold"):
        find(tmp_path)
