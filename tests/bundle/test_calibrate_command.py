"""Thresholds of one's own: made by one command, used by another when named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.io.digest import file_sha256
from tests.bundle.commands import Ended, WarmCommands
from tests.bundle.conftest import TINY_NETWORK


@pytest.fixture(scope="module")
def model(tiny_run: tuple[Path, Ended], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    for name in ("model.pt", "calibration.json"):
        shutil.copy(tiny_run[0] / name, folder)
    return folder


@pytest.fixture(scope="module")
def options(model: Path, tiny_options: tuple[str, ...]) -> tuple[str, ...]:
    configs = "--config_file=['configs/train.yaml','configs/calibrate.yaml']"
    return ("run", "calibrate", configs, f"--model_dir={model}", *tiny_options)


@pytest.fixture(scope="module")
def calibrated(commands: WarmCommands, options: tuple[str, ...]) -> Ended:
    return commands.run(*options, "--calibration_name=ward_7").check()


def infer(commands: WarmCommands, model: Path, scan: Path, output: Path, *given: str) -> Ended:
    paths = (f"--model_dir={model}", f"--dataset_dir={scan}", f"--output_dir={output}")
    command = ("run", "inference", "--config_file=configs/inference.json", *paths, *TINY_NETWORK, *given)
    return commands.run(*command, pictures=False)


def test_it_lies_beside_the_weights_under_its_own_name(
    calibrated: Ended, model: Path, tiny_run: tuple[Path, Ended]
) -> None:
    assert {path.name for path in model.iterdir()} == {
        "model.pt",
        "calibration.json",
        "calibration_ward_7.json",
    }
    own = json.loads((model / "calibration_ward_7.json").read_text())
    assert own["weights_sha256"] == file_sha256(model / "model.pt")
    assert own["source"].startswith("normal scans of ")
    assert own["patients"] == 8  # all of the cohort, with the slices that show no lesion
    assert file_sha256(model / "calibration.json") == file_sha256(tiny_run[0] / "calibration.json")
    assert "the scope is not checked" in calibrated.err + calibrated.out
    assert "Thresholds of 8 patients: expected 10 or more" in calibrated.err + calibrated.out


def test_it_is_replaced_only_when_told(
    calibrated: Ended, commands: WarmCommands, options: tuple[str, ...], model: Path
) -> None:
    before = (model / "calibration_ward_7.json").read_bytes()
    refused = commands.run(*options, "--calibration_name=ward_7", "--slice_quantile=0.5")
    assert refused.code == 2
    assert "--replace true" in refused.error
    assert (model / "calibration_ward_7.json").read_bytes() == before


def test_a_name_that_is_a_path_is_refused(commands: WarmCommands, options: tuple[str, ...]) -> None:
    refused = commands.run(*options, "--calibration_name=../other")
    assert refused.code == 2
    assert "--calibration_name, got '../other'" in refused.error


def test_inference_takes_it_when_named(
    calibrated: Ended, commands: WarmCommands, model: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    scan = tiny_cohort / "Phantom_001" / "Phantom_001_t1ce.nii.gz"
    infer(commands, model, scan, tmp_path / "own", "--calibration_name=ward_7").check()
    infer(commands, model, scan, tmp_path / "shipped").check()
    for name, file in (("own", "calibration_ward_7.json"), ("shipped", "calibration.json")):
        stored = json.loads((model / file).read_text())
        (path,) = (tmp_path / name).glob("*/*_result.json")
        used = json.loads(path.read_text())["calibration"]
        assert used["source"] == stored["source"]
        assert used["pixel_threshold"] == stored["pixel_threshold"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--calibration_name=nobody",), "no calibration file calibration_nobody.json"),
        (("--calibration_name=ward_7", "--alpha=0.25"), "alpha 0.0 (given 0.25)"),
    ],
)
def test_a_name_without_fitting_thresholds_is_an_error(
    calibrated: Ended,
    commands: WarmCommands,
    model: Path,
    tiny_cohort: Path,
    tmp_path: Path,
    given: tuple[str, ...],
    says: str,
) -> None:
    scan = tiny_cohort / "Phantom_001" / "Phantom_001_t1ce.nii.gz"
    ended = infer(commands, model, scan, tmp_path / "maps", *given)
    assert ended.code == 2
    assert says in ended.error
    assert "run calibrate with --calibration_name" in ended.error
