from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.data import sources
from scripts.data.phantom import generate_cohort
from scripts.errors import InputError
from scripts.io.split_file import read_split_file, split_patients
from tests.heads import save_scan


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(generate_cohort, resolution_mm=4.0, slice_mm=8.0, progress=False)
    monkeypatch.setattr(sources, "generate_cohort", small)


def test_phantoms_stand_in_for_a_missing_folder(coarse, tmp_path, caplog):
    folder = str(tmp_path / "phantoms")
    scans = sources.scans_or_phantoms(folder, folder, ["t1ce", "flair"], subjects=2)
    assert [scan["case"] for scan in scans] == ["Phantom_001", "Phantom_002"]
    assert [Path(path).name for path in scans[0]["image"]] == [
        "Phantom_001_t1ce.nii.gz",
        "Phantom_001_flair.nii.gz",
    ]
    assert all(Path(scan["label"]).is_file() for scan in scans)
    assert "SYNTHETIC" in caplog.text
    again = sources.scans_or_phantoms(folder + "/../phantoms", folder, ["t1ce", "flair"], subjects=2)
    assert [scan["case"] for scan in again] == [scan["case"] for scan in scans]


def test_a_larger_cohort_that_lies_there_adds_no_phantom(coarse, tmp_path):
    folder = str(tmp_path / "phantoms")
    assert len(sources.scans_or_phantoms(folder, folder, subjects=3)) == 3
    assert len(sources.scans_or_phantoms(folder, folder, subjects=2)) == 2


def test_the_folder_of_the_user_is_left_as_it_is(tmp_path, caplog):
    save_scan(tmp_path / "mine" / "one.nii.gz", np.ones((3, 3, 3), np.uint8), np.eye(4))
    table = tmp_path / "aliases.csv"
    table.write_text("name,patient\none,Anna\n")
    phantoms = tmp_path / "phantoms"
    (scan,) = sources.scans_or_phantoms(
        str(tmp_path / "mine"), str(phantoms), "t1ce", layout="folder", aliases=str(table)
    )
    assert (scan["case"], scan["patient"]) == ("one", "Anna")
    assert not phantoms.exists()
    assert "SYNTHETIC" not in caplog.text


def test_a_missing_folder_is_an_error_and_no_phantom(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        sources.scans_or_phantoms(str(tmp_path / "typo"), str(tmp_path / "phantoms"))
    assert list(tmp_path.iterdir()) == []


def test_the_split_is_made_once(tmp_path):
    generator = np.random.default_rng(0)
    for name in "abcdef":
        save_scan(tmp_path / "scans" / f"{name}.nii.gz", generator.random((3, 3, 3)), np.eye(4))
    scans = sources.scans_or_phantoms(str(tmp_path / "scans"), str(tmp_path / "phantoms"))
    file = tmp_path / "run" / "split.json"
    with pytest.raises(InputError, match=r"split that the weights were trained with in .* --split_file"):
        sources.split_scans(scans, str(file), [0.5, 0.25, 0.25], seed=3, make=False)
    first = sources.split_scans(scans, str(file), [0.5, 0.25, 0.25], seed=3)
    content = json.loads(file.read_text())
    second = sources.split_scans(scans, str(file), [0.5, 0.25, 0.25], seed=3, make=False)
    assert first == second
    assert json.loads(file.read_text()) == content
    sides = [first.training, first.validation, first.test]
    assert sorted(scan["case"] for side in sides for scan in side) == list("abcdef")


def make_records(folder: Path, count: int = 4) -> list[dict]:
    generator = np.random.default_rng(0)
    paths = [folder / f"c{n}.nii.gz" for n in range(count)]
    for path in paths:
        save_scan(path, generator.random((3, 3, 3)), np.eye(4))
    return [
        {"case": f"c{n}", "patient": f"p{n}", "image": [str(path)], "label": None}
        for n, path in enumerate(paths)
    ]


def test_only_patients_that_nothing_was_trained_or_chosen_on_are_left(tmp_path, caplog):
    records = make_records(tmp_path)
    split = sources.Split(training=records[:1], validation=records[1:2], test=records[2:3])
    caplog.set_level("INFO")
    assert sources.unseen_scans(records, split) == records[2:]
    assert "Leaving out 2 of 4 scans" in caplog.text
    twin = records[3] | {"case": "other scan", "patient": "p0"}
    assert sources.unseen_scans([*records[2:], twin], split) == records[2:]
    renamed = [records[0] | {"case": "copy", "patient": "p2"}]  # makes p2 a patient that was trained on
    assert sources.unseen_scans([*records[2:], *renamed], split) == records[3:]
    with pytest.raises(InputError, match=r"all 1 are of those in their training .* --test_dir"):
        sources.unseen_scans([twin], split)


@pytest.mark.parametrize("again", [False, True], ids=["new split", "its file"])
def test_a_patient_whose_volume_stands_under_another_name_too_is_seen_by_both_names(tmp_path, again):
    """c1 is a copy of c0, so p0 and p1 are one person, whose other scan c2 is trained on as p0's."""
    records = make_records(tmp_path, count=6)
    records[1]["image"] = [str(shutil.copy(records[0]["image"][0], tmp_path / "copy.nii.gz"))]
    records[2]["patient"] = "p1"
    file = tmp_path / "split.json"
    split = sources.split_scans(records[:4], str(file), (0.5, 0.5, 0.0), seed=0)
    if again:
        split = sources.split_scans(records[:4], str(file), (0.5, 0.5, 0.0), seed=0, make=False)
    rows = [row for rows in (split.training, split.validation) for row in rows]
    assert {row["case"]: row["patient"] for row in rows} == {"c0": "p0", "c2": "p0", "c3": "p3"}
    assert split_patients(read_split_file(file), "training", "validation") == {"p0", "p1", "p3"}
    other = [record | {"patient": patient} for record, patient in zip(records[4:], ("p1", "p5"), strict=True)]
    assert sources.unseen_scans(other, split) == other[1:]


def test_patients_behind_the_weights_a_training_started_from_are_left_out_too(tmp_path, caplog):
    records = make_records(tmp_path)
    split = sources.Split(training=records[:1], validation=records[1:2], test=[])
    voxels = sources.hash_scans(records[2:3])[0].sha256
    for patients, volumes, left in (
        (["p2"], [], records[3:]),
        (["called otherwise"], [voxels], records[3:]),
        (None, None, records[2:]),
    ):
        settings = {"initial_weights": {"sha256": "0", "patients": patients, "volumes": volumes}}
        torch.save({"fingerprint": settings}, tmp_path / "resume.pt")
        assert sources.unseen_scans(records, split, str(tmp_path)) == left
        assert ("started from weights of unknown patients" in caplog.text) == (patients is None)


def test_a_volume_under_two_names_is_one_scan(tmp_path, caplog):
    records = make_records(tmp_path)
    twin = records[0] | {"case": "twin", "patient": "other"}
    assert sources.unique_scans([*records, twin]) == records
    assert "one volume is there twice" in caplog.text
