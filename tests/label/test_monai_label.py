"""A real MONAI Label server with the bundle: what a viewer or a program gets over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import SimpleITK
from numpy.typing import NDArray

from scripts.io.digest import file_sha256
from scripts.uncertainty.maps import MASK, MapName
from tests import people
from tests.bundle.commands import WarmCommands
from tests.heads import rotation, save_scan
from tests.label_server import IS_MISSING, LENIENT, SHIPPED, Server, serve

SCAN = "Phantom_001"
ODD = "Bottle"
SLICER = {"result_extension": ".nrrd", "result_dtype": "uint8"}
"""What 3D Slicer adds to every request."""

pytestmark = [pytest.mark.label, pytest.mark.slow, IS_MISSING]


@pytest.fixture(scope="module")
def studies(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A datastore of five scans, one of them askew, another of no head; four have a mask."""
    folder = tmp_path_factory.mktemp("label") / "studies"
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for case in (SCAN, "Phantom_002", "Phantom_003", "Phantom_004"):
        image = nibabel.load(tiny_cohort / case / f"{case}_t1ce.nii.gz")
        mask = nibabel.load(tiny_cohort / case / f"{case}_seg.nii.gz")
        affine = rotation(6, 4) @ image.affine @ np.diag([-1, 1, 1, 1]) if case == SCAN else image.affine
        save_scan(folder / f"{case}.nii.gz", np.asarray(image.dataobj, dtype=np.float32), affine)
        save_scan(labels / f"{case}.nii.gz", np.asarray(mask.dataobj, dtype=np.uint8), affine)
    save_scan(folder / f"{ODD}.nii.gz", people.bottle(33), people.AFFINE)
    return folder


@pytest.fixture(scope="module")
def server(studies: Path) -> Iterator[Server]:
    """A server over these scans."""
    with serve(studies.parent, str(studies)) as running:
        yield running


@pytest.fixture(scope="module")
def written(studies: Path) -> Path:
    """What ``run inference`` writes of the scan, in the environment of the tests."""
    output = studies.parent / "written"
    options = (f"--dataset_dir={studies / SCAN}.nii.gz", f"--output_dir={output}", "--scope=warn")
    with WarmCommands(studies.parent) as commands:
        commands.run(
            "run", "inference", "--config_file", "configs/inference.json", *options, pictures=False
        ).check()
    return output / SCAN


def values(image: nibabel.Nifti1Image) -> NDArray[Any]:
    return np.asarray(image.dataobj)


def threshold(server: Server) -> float:
    return json.loads((server.model(SHIPPED) / "models" / "calibration.json").read_text())["pixel_threshold"]


def test_info_names_the_bundle_what_it_shows_and_the_threshold(server: Server) -> None:
    info = requests.get(f"{server.url}/info/", timeout=30).json()
    assert set(info["models"]) == set(info["trainers"]) == {SHIPPED, LENIENT}
    model = info["models"][SHIPPED]
    assert model["type"] == "segmentation"
    assert model["labels"] == {"anomaly": 1}
    assert model["config"]["output"][:2] == [MASK, "anomaly"]
    assert sorted(model["config"]["output"]) == sorted([MASK, *MapName])
    assert model["config"]["threshold"] == threshold(server)
    assert info["datastore"]["total"] == 5
    assert info["datastore"]["completed"] == 4


@pytest.mark.parametrize("name", MapName)
def test_float_map_of_a_datastore_image_is_what_run_inference_writes(
    server: Server, written: Path, tmp_path: Path, name: MapName
) -> None:
    """As it is up to the last digits: MONAI Label has another numpy."""
    served = server.map(tmp_path, LENIENT, image=SCAN, output=name.value)
    expected = nibabel.load(written / f"{SCAN}_{name}.nii.gz")
    assert served.get_data_dtype() == np.float32
    np.testing.assert_allclose(served.affine, expected.affine, atol=1e-4)
    scale = np.abs(values(expected)).max()
    assert scale > 0
    np.testing.assert_allclose(values(served), values(expected), rtol=1e-4, atol=1e-5 * max(1, scale))


def test_session_file_gets_the_mask_that_run_inference_writes(
    server: Server, studies: Path, written: Path, tmp_path: Path
) -> None:
    with (studies / f"{SCAN}.nii.gz").open("rb") as file:
        answer = requests.put(f"{server.url}/session/", files={"files": ("scan.nii.gz", file)}, timeout=30)
    session = answer.json()["session_id"]
    shown = server.map(tmp_path, LENIENT, session=session)
    assert shown.get_data_dtype() == np.uint8
    expected = nibabel.load(written / f"{SCAN}_mask.nii.gz")
    np.testing.assert_allclose(shown.affine, expected.affine, atol=1e-4)
    assert np.mean(values(shown) != values(expected)) < 1e-4
    assert requests.delete(f"{server.url}/session/{session}", timeout=30).ok


def test_each_request_chooses_threshold_and_output(server: Server, tmp_path: Path) -> None:
    anomaly = values(server.map(tmp_path, LENIENT, image=SCAN, output="anomaly"))
    chosen = float(np.quantile(anomaly[anomaly > 0], 0.8))
    for given in (chosen, str(chosen)):  # viewers send texts
        shown = values(server.map(tmp_path, LENIENT, image=SCAN, threshold=given))
        assert np.array_equal(shown, anomaly > chosen)
    default = values(server.map(tmp_path, LENIENT, image=SCAN))
    assert np.array_equal(default, anomaly > threshold(server))
    assert shown.any()
    assert not np.array_equal(default, shown)


def test_slicer_gets_a_label_map_and_never_a_map_cut_down_to_whole_numbers(
    server: Server, tmp_path: Path
) -> None:
    expected = values(server.map(tmp_path, LENIENT, image=SCAN, threshold=0.0))
    answer = server.ask(LENIENT, SCAN, threshold=0.0, output=MASK, **SLICER)
    assert answer.ok
    (tmp_path / "mask.nrrd").write_bytes(answer.content)
    image = SimpleITK.ReadImage(str(tmp_path / "mask.nrrd"))
    assert image.GetPixelIDValue() == SimpleITK.sitkUInt8
    assert np.array_equal(SimpleITK.GetArrayFromImage(image).T, expected)
    assert server.ask(LENIENT, SCAN, output="anomaly", **SLICER).status_code == 500
    assert server.says("Expected a floating-point type for the map anomaly, got uint8")


def test_threshold_that_is_no_number_is_refused(server: Server) -> None:
    assert server.ask(LENIENT, SCAN, threshold="high").status_code == 500
    assert server.says("Expected a number as the threshold of the mask, got 'high'")


def test_scan_out_of_scope_is_refused_and_the_log_says_why(server: Server, tmp_path: Path) -> None:
    refused = server.ask(SHIPPED, ODD, output="anomaly")
    assert refused.status_code == 500
    lines = requests.get(f"{server.url}/logs/", params={"text": "true"}, timeout=30).text
    sentence = f"{ODD}.nii.gz: expected a scan like"
    assert sentence in lines
    assert server.says(f"scripts.errors.ScopeError: {sentence}")
    before = server.log.count(sentence)
    assert server.map(tmp_path, LENIENT, image=ODD, output="anomaly").shape == people.SHAPE
    assert server.log.count(sentence) == before + 1  # the warning


def test_broken_file_is_refused(server: Server, studies: Path, tmp_path: Path) -> None:
    content = (studies / f"{SCAN}.nii.gz").read_bytes()
    answer = requests.put(
        f"{server.url}/session/", files={"files": ("cut.nii.gz", content[: len(content) // 2])}, timeout=30
    )
    assert server.ask(LENIENT, session=answer.json()["session_id"]).status_code == 500
    assert server.says("InputError: cut.nii.gz: ")


def test_training_runs_and_leaves_the_weights_alone(server: Server) -> None:
    """With the options that viewers send, the empty name of the run among them."""
    models = server.model(SHIPPED) / "models"
    before = {path.name: file_sha256(path) for path in models.iterdir()}
    options = requests.get(f"{server.url}/info/", timeout=30).json()["trainers"][SHIPPED]["config"]
    given = {key: value[0] if isinstance(value, list) else value for key, value in options.items()}
    answer = requests.post(
        f"{server.url}/train/{SHIPPED}", json=given | {"max_epochs": 1, "val_split": 0.25}, timeout=30
    )
    assert answer.ok
    deadline = time.monotonic() + 300
    while (task := requests.get(f"{server.url}/train/", timeout=30).json())["status"] not in (
        "DONE",
        "ERROR",
    ):
        assert time.monotonic() < deadline, task
        time.sleep(1)
    assert task["status"] == "DONE", task
    assert any("Epoch 1 of 1" in line for line in task["details"]), task
    output = server.model(SHIPPED) / "output"
    calibration = json.loads((output / "calibration.json").read_text())
    assert calibration["weights_sha256"] == file_sha256(output / "model.pt")
    assert calibration["source"] == "lesion-free validation slices of studies, t1ce"
    assert calibration["patients"] == 1
    assert not (server.model(SHIPPED) / "cache" / "phantoms").exists()
    assert {path.name: file_sha256(path) for path in models.iterdir()} == before
