"""The MONAI Deploy application: DICOM through the SDK's graph gives what the bundle's own command gives."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import yaml
from pydicom.pixels import pixel_array
from pydicom.uid import ParametricMapStorage, SegmentationStorage

import scripts
from scripts.uncertainty.maps import MapName
from tests.bundle.commands import BUNDLE, Ended, environment, finish, start_plain
from tests.dicom_files import NAME, PATIENT_ID, PHYSICIAN, SAGITTAL, make_series, volume
from tests.heads import rotation
from tests.inference_route import DICOM, NETWORK, infer, make_model

ROOT = BUNDLE.parent
ENVIRONMENT = ROOT / ".venv-deploy"
FOLDER = ROOT / "deploy"
REAL = os.environ.get("BRAIN_MRI_DICOM")

SHARED = [
    "torch",
    "monai",
    "numpy",
    "scipy",
    "pydicom",
    "highdicom",
    "nibabel",
    "pytorch-ignite",
    "matplotlib",
]
"""What computes, draws and writes maps."""


def needs_environment(test: Any) -> Any:
    """Mark a test that runs the application in its own environment."""
    missing = pytest.mark.skipif(
        not (ENVIRONMENT / "installed").exists(), reason="MONAI Deploy is not here: make deploy-env"
    )
    return pytest.mark.deploy(pytest.mark.slow(missing(test)))


def run(place: Path, output: Path, model: Path, folder: Path, **settings: Any) -> Ended:
    """Run the application with settings in a file of its own."""
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"bundle": {"device": "cpu", **settings}}))
    command = [ENVIRONMENT / "bin" / "python", FOLDER / "app.py", "-i", place, "-o", output, "-m", model]
    variables = environment() | {"HOLOSCAN_CONFIG_PATH": str(file)}
    ended = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=500, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def compare(found: Path, expected: Path, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare the maps and the mask of a case with those of the bundle's own command."""
    for kind in (*MapName, "mask"):
        name = str(outputs[kind]["name"])
        one, other = pydicom.dcmread(found / name), pydicom.dcmread(expected / name)
        assert one.SOPClassUID == (SegmentationStorage if kind == "mask" else ParametricMapStorage)
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID"):
            assert one[keyword] == other[keyword], keyword
        values = pixel_array(other)
        assert values.any(), kind
        np.testing.assert_allclose(
            pixel_array(one), values, rtol=1e-4, atol=1e-5 * values.max(), err_msg=kind
        )


def test_settings_are_keys_of_the_bundle_and_the_version_is_its_own() -> None:
    content = yaml.safe_load((FOLDER / "app.yaml").read_text())
    known = json.loads((BUNDLE / "configs" / DICOM[0]).read_text())
    known |= yaml.safe_load((BUNDLE / "configs" / DICOM[1]).read_text())
    assert content["bundle"].keys() <= known.keys()
    assert content["bundle"]["scope"] == "refuse"
    assert content["application"]["version"] == scripts.__version__


def test_what_makes_maps_is_pinned_as_in_the_other_environment() -> None:
    pins = [
        dict(line.split("==") for line in path.read_text().splitlines() if "==" in line and line[0] != "#")
        for path in (ROOT / "constraints.txt", FOLDER / "constraints.txt")
    ]
    assert [pins[0][name] for name in SHARED] == [pins[1][name] for name in SHARED]


@needs_environment
def test_maps_and_mask_are_those_of_the_bundle(tmp_path: Path) -> None:
    place, model = tmp_path / "series", make_model(tmp_path / "model")
    make_series(place, volume(axes=SAGITTAL, turn=rotation(17, -9)))
    ended = run(place, tmp_path / "maps", model, tmp_path, html=False, **NETWORK).check()
    for secret in (NAME, PATIENT_ID, PHYSICIAN):
        assert secret not in ended.out + ended.err
    expected = infer(place, tmp_path / "expected", model, configs=DICOM)
    (case,) = expected.results
    compare(tmp_path / "maps" / case, tmp_path / "expected" / case, expected.results[case].outputs)


@needs_environment
def test_scan_out_of_scope_is_refused_with_its_number_and_nothing_is_mapped(tmp_path: Path) -> None:
    make_series(tmp_path / "series")
    ended = run(tmp_path / "series", tmp_path / "maps", BUNDLE / "models", tmp_path)
    assert ended.code == 3, ended.err[-2000:]
    assert ended.error.startswith("error: 1 of 1 scans failed")
    assert "found one out of scope, p = " in ended.error
    (result,) = (tmp_path / "maps").glob("*/*_result.json")
    assert json.loads(result.read_text())["exit_code"] == 3
    assert list((tmp_path / "maps").rglob("*.dcm")) == []


@needs_environment
def test_misspelt_setting_is_refused(tmp_path: Path) -> None:
    make_series(tmp_path / "series")
    ended = run(tmp_path / "series", tmp_path / "maps", BUNDLE / "models", tmp_path, scop="off")
    assert ended.code == 2
    assert ended.error == (
        "error: Expected a key of the config, got --scop, which nothing reads; did you mean --scope?"
    )


@needs_environment
@pytest.mark.skipif(REAL is None, reason="BRAIN_MRI_DICOM names no folder or zip of DICOM")
def test_real_series_gives_the_maps_of_the_bundle(tmp_path: Path) -> None:
    run(Path(str(REAL)), tmp_path / "maps", BUNDLE / "models", tmp_path, scope="warn", html=False).check()
    command = ("run", "inference", "--config_file", str([f"configs/{name}" for name in DICOM]))
    paths = ("--dataset_dir", str(REAL), "--output_dir", str(tmp_path / "expected"))
    finish(start_plain(*command, *paths, "--scope", "warn", "--html", "false")).check()
    (path,) = (tmp_path / "expected").glob("*/*_result.json")
    case = path.parent.name
    compare(tmp_path / "maps" / case, tmp_path / "expected" / case, json.loads(path.read_text())["outputs"])
