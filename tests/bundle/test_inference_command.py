"""Inference over a folder of scans: what is written, skipped, refused and left behind by a kill."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from scripts.io.atomic import write_json
from scripts.io.digest import file_sha256
from tests.bundle.commands import BUNDLE, Ended, WarmCommands
from tests.bundle.conftest import TINY_NETWORK
from tests.inference_route import make_mapper
from tests.report.pages import ParsedPage

MAPS = ("total_uncertainty", "anomaly", "epistemic", "aleatoric", "reconstruction")
GOOD = ("Phantom_001", "Phantom_002")

Infer = Callable[..., Ended]


@pytest.fixture(scope="module")
def infer(commands: WarmCommands, random_model: Path) -> Infer:
    """The plain command on a folder of scans, with the tiny network."""

    def run(
        scans: Path,
        output: Path,
        *options: str,
        model: Path = random_model,
        pictures: bool = False,
        **given: Any,
    ) -> Ended:
        paths = (f"--model_dir={model}", f"--dataset_dir={scans}", f"--output_dir={output}")
        command = ("run", "inference", "--config_file", "configs/inference.json")
        return commands.run(*command, *paths, *TINY_NETWORK, *options, pictures=pictures, **given)

    return run


@pytest.fixture(scope="module")
def scans(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans, one with codes and units of its own, and a file that is cut off."""
    folder = tmp_path_factory.mktemp("scans")
    for case in GOOD:
        shutil.copy(tiny_cohort / case / f"{case}_t1ce.nii.gz", folder / f"{case}.nii.gz")
    image = nibabel.load(folder / "Phantom_002.nii.gz")
    affine = image.affine @ np.diag([-1, 1, 1, 1])
    turned = nibabel.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32)[:, ::-1], affine)
    turned.set_sform(affine, code=4)
    turned.set_qform(affine, code=2)
    turned.header.set_xyzt_units("mm", "msec")
    nibabel.save(turned, folder / "Phantom_002.nii.gz")
    content = (folder / "Phantom_001.nii.gz").read_bytes()
    (folder / "Broken.nii.gz").write_bytes(content[: len(content) // 2])
    return folder


@pytest.fixture(scope="module")
def finished(infer: Infer, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The output of inference on these scans, and how it ended."""
    output = tmp_path_factory.mktemp("output") / "maps"
    return output, infer(scans, output, pictures=True)


def result(output: Path, case: str) -> dict[str, Any]:
    return json.loads((output / case / f"{case}_result.json").read_text())


def scores(output: Path) -> dict[str, dict[str, str]]:
    with (output / "scores.csv").open(newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def load(output: Path, case: str, kind: str) -> nibabel.Nifti1Image:
    return nibabel.load(output / case / f"{case}_{kind}.nii.gz")


def state(folder: Path) -> dict[str, int]:
    """Return every file below a folder with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_broken_scan_is_reported_and_stops_no_other(finished: tuple[Path, Ended]) -> None:
    output, ended = finished
    assert ended.code == 2
    assert ended.error.startswith("error: 1 of 3 scans failed, the others are finished. Broken: ")
    broken = result(output, "Broken")
    assert broken["status"] == "failed"
    assert broken["reason"] in ended.error
    assert [path.name for path in (output / "Broken").iterdir()] == ["Broken_result.json"]
    rows = scores(output)
    assert {case: row["status"] for case, row in rows.items()} == {
        "Broken": "failed",
        "Phantom_001": "ok",
        "Phantom_002": "ok",
    }
    assert rows["Broken"]["reason"] == broken["reason"]
    assert rows["Broken"]["scan_score"] == ""


@pytest.mark.parametrize("case", GOOD)
def test_maps_lie_on_the_scan_bit_for_bit(finished: tuple[Path, Ended], scans: Path, case: str) -> None:
    scan = nibabel.load(scans / f"{case}.nii.gz")
    for kind in (*MAPS, "mask"):
        written = load(finished[0], case, kind)
        assert written.shape == scan.shape
        assert written.affine.tobytes() == scan.affine.tobytes()
        for field in ("sform_code", "qform_code", "xyzt_units", "pixdim"):
            assert np.array_equal(written.header[field], scan.header[field])
        assert (written.dataobj.slope, written.dataobj.inter) == (1, 0)
        assert written.get_data_dtype() == (np.uint8 if kind == "mask" else np.float32)
        assert np.isfinite(written.dataobj).all()


@pytest.mark.parametrize("case", GOOD)
def test_mask_is_where_the_anomaly_exceeds_the_stored_threshold(
    finished: tuple[Path, Ended], random_model: Path, case: str
) -> None:
    threshold = json.loads((random_model / "calibration.json").read_text())["pixel_threshold"]
    assert result(finished[0], case)["calibration"]["pixel_threshold"] == threshold
    mask = np.asarray(load(finished[0], case, "mask").dataobj)
    anomaly = np.asarray(load(finished[0], case, "anomaly").dataobj)
    assert np.array_equal(mask, (anomaly > threshold).astype(np.uint8))
    assert 0 < mask.mean() < 0.5


@pytest.mark.parametrize("case", GOOD)
def test_scan_score_is_the_mean_of_its_highest_slice_scores(finished: tuple[Path, Ended], case: str) -> None:
    found = result(finished[0], case)
    by_slice = sorted((one["score"] for one in found["slices"] if one["score"] is not None), reverse=True)
    top = found["settings"]["top_slices"]
    assert len(by_slice) > top
    assert found["scan_score"] == pytest.approx(sum(by_slice[:top]) / top)
    row = scores(finished[0])[case]
    assert float(row["scan_score"]) == pytest.approx(found["scan_score"], rel=1e-6)
    assert int(row["slices_scored"]) == len(by_slice)
    limit = found["calibration"]["slice_threshold"]
    assert int(row["slices_abnormal"]) == sum(score > limit for score in by_slice)


def test_pages_are_listed_and_have_the_numbers_of_the_results(finished: tuple[Path, Ended]) -> None:
    output = finished[0]
    index = ParsedPage(output / "index.html")
    links = [str(one["href"]) for one in index.attributes("a")]
    by_score = sorted(GOOD, key=lambda case: -result(output, case)["scan_score"])
    assert links == ["scores.csv", *(f"{case}/{case}_viewer.html" for case in by_score)]
    assert result(output, "Broken")["reason"] in index.text
    for link, case in zip(links[1:], by_score, strict=True):
        page, found = ParsedPage(output / link), result(output, case)
        page.check_alone(scripts=2)
        assert (output / link).stat().st_size < 5e6
        shown = set(page.numbers("slices"))
        for one in found["slices"]:
            if one["score"] is not None:
                assert {one["score"], one["level"], one["epistemic_mean"], one["aleatoric_mean"]} <= shown
        for text in (found["weights_sha256"], found["calibration"]["source"], found["versions"]["torch"]):
            assert text in page.text
        assert all(one["finding"] in page.text for one in found["findings"])


@pytest.mark.case(50)
def test_second_run_touches_nothing_but_the_table(
    finished: tuple[Path, Ended], infer: Infer, scans: Path
) -> None:
    output = finished[0]
    before = {case: state(output / case) for case in GOOD}
    table = (output / "scores.csv").read_text()
    ended = infer(scans, output)
    assert ended.code == 2  # the broken scan is still broken
    assert {case: state(output / case) for case in GOOD} == before
    assert (output / "scores.csv").read_text() == table


@pytest.mark.case(50)
def test_other_settings_need_the_word_overwrite(
    finished: tuple[Path, Ended], infer: Infer, scans: Path, tmp_path: Path
) -> None:
    output = tmp_path / "maps"
    scan = scans / "Phantom_001.nii.gz"
    shutil.copytree(finished[0] / "Phantom_001", output / "Phantom_001")
    before = state(output / "Phantom_001")
    refused = infer(scan, output, "--top_slices", "3", "--synthetic", "true")
    assert refused.code == 2
    assert "other settings: synthetic, top_slices" in refused.error
    assert "--overwrite true" in refused.error
    assert state(output / "Phantom_001") == before
    infer(scan, output, "--top_slices", "3", "--overwrite", "true").check()
    assert result(output, "Phantom_001")["settings"]["top_slices"] == 3


def test_no_thresholds_no_mask_but_the_reason(
    infer: Infer, scans: Path, random_model: Path, tmp_path: Path
) -> None:
    model, scan = tmp_path / "model", scans / "Phantom_001.nii.gz"
    model.mkdir()
    shutil.copy(random_model / "model.pt", model)
    infer(scan, tmp_path / "bare", "--html", "false", model=model).check()
    infer(scan, tmp_path / "other", "--alpha", "0.25", "--field_of_view", "260").check()
    differing = "field_of_view 240.0 (given 260), alpha 0.0 (given 0.25)"
    for name, reason in (("bare", "no calibration file"), ("other", differing)):
        found = result(tmp_path / name, "Phantom_001")
        assert reason in found["calibration"]["reason"]
        assert found["calibration"]["pixel_threshold"] is None
        assert all(one["abnormal"] is None for one in found["slices"])
        assert "mask" not in found["outputs"]
        written = {path.name for path in (tmp_path / name / "Phantom_001").iterdir()}
        assert written == {one["name"] for one in found["outputs"].values()} | {"Phantom_001_result.json"}
        assert not any("mask" in file for file in written)
        assert scores(tmp_path / name)["Phantom_001"]["slices_abnormal"] == ""
        assert (
            ("viewer" in found["outputs"]) == (tmp_path / name / "index.html").exists() == (name == "other")
        )


@pytest.mark.case(46)
def test_weights_that_do_not_fit_are_refused_before_any_scan_is_read(infer: Infer, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    torch.save(make_mapper(widths=[8, 8]).state_dict(), model / "model.pt")
    # The scans are not there, and nobody has looked.
    ended = infer(tmp_path / "nowhere", tmp_path / "maps", model=model)
    assert ended.code == 5
    assert "do not fit the network of the config" in ended.error
    assert not (tmp_path / "maps").exists()


def test_changed_weights_are_refused_before_any_scan_is_read(
    infer: Infer, random_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(random_model, model)
    write_json(model / "provenance.json", {"weights_sha256": file_sha256(model / "model.pt")})
    content = bytearray((model / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (model / "model.pt").write_bytes(content)
    ended = infer(tmp_path / "nowhere", tmp_path / "maps", model=model)
    assert ended.code == 5
    assert "expected the weights that provenance.json names" in ended.error
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize("content", [None, b"not weights"])
def test_missing_or_damaged_weights_are_refused(infer: Infer, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    ended = infer(tmp_path / "nowhere", tmp_path / "maps", model=tmp_path)
    assert ended.code == 5
    assert f"{tmp_path / 'model.pt'}: expected a" in ended.error


@pytest.mark.parametrize("exists", [True, False])
def test_folder_without_scans_is_refused(infer: Infer, tmp_path: Path, exists: bool) -> None:
    scans = tmp_path / "scans"
    if exists:
        scans.mkdir()
    ended = infer(scans, tmp_path / "maps")
    assert ended.code == 2
    assert str(scans) in ended.error


def test_damaged_calibration_is_refused(
    infer: Infer, scans: Path, random_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(random_model, model)
    write_json(model / "calibration.json", {"pixel_threshold": "high"})
    ended = infer(scans / "Phantom_001.nii.gz", tmp_path / "maps", model=model)
    assert ended.code == 2
    assert "calibration.json: expected a calibration" in ended.error


def test_folder_that_cannot_be_written_stops_no_other_scan(infer: Infer, scans: Path, tmp_path: Path) -> None:
    output = tmp_path / "maps"
    output.mkdir()
    (output / "Phantom_001").write_text("a file where the folder of the first scan should be")
    cohort = tmp_path / "scans"
    cohort.mkdir()
    for case in GOOD:
        shutil.copy(scans / f"{case}.nii.gz", cohort)
    ended = infer(cohort, output)
    assert ended.code == 2
    assert "1 of 2 scans failed" in ended.error
    assert {case: row["status"] for case, row in scores(output).items()} == {
        "Phantom_001": "failed",
        "Phantom_002": "ok",
    }


def test_shipped_weights_work_straight_from_a_clone(
    commands: WarmCommands, scans: Path, tmp_path: Path
) -> None:
    commands.run(
        "run",
        "inference",
        "--config_file",
        "configs/inference.json",
        f"--dataset_dir={scans / 'Phantom_001.nii.gz'}",
        f"--output_dir={tmp_path}",
        pictures=False,
    ).check()
    found = result(tmp_path, "Phantom_001")
    assert found["weights_sha256"] == file_sha256(BUNDLE / "models" / "model.pt")
    assert found["calibration"]["reason"] is None
    assert np.asarray(load(tmp_path, "Phantom_001", "mask").dataobj).dtype == np.uint8


@pytest.mark.case(49)
def test_killed_run_is_finished_by_the_next(
    infer: Infer, tiny_cohort: Path, tmp_path: Path, finished: tuple[Path, Ended]
) -> None:
    cohort, output = tmp_path / "scans", tmp_path / "maps"
    cohort.mkdir()
    cases = [f"Phantom_00{number}" for number in (1, 3)]
    for case in cases:
        shutil.copy(tiny_cohort / case / f"{case}_t1ce.nii.gz", cohort / f"{case}.nii.gz")
    second = output / "Phantom_003"

    def in_the_second_scan() -> bool:
        return (second / "Phantom_003_epistemic.nii.gz").exists()

    killed = infer(cohort, output, kill_when=in_the_second_scan, pictures=True)
    assert killed.code == -signal.SIGKILL
    assert result(output, "Phantom_001")["status"] == "ok"
    assert result(output, "Phantom_003")["status"] == "started"
    for path in output.glob("*/Phantom_*.nii.gz"):
        assert np.isfinite(nibabel.load(path).get_fdata()).all()  # whole, or under another name
    before = state(output / "Phantom_001")
    infer(cohort, output).check()
    assert state(output / "Phantom_001") == before
    assert {case: row["status"] for case, row in scores(output).items()} == dict.fromkeys(cases, "ok")
    for case in cases:
        listed = {one["name"] for one in result(output, case)["outputs"].values()}
        assert listed <= {path.name for path in (output / case).iterdir()}
