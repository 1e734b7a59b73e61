"""Lists of paths in place of a folder and its split."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.data.datalist import find_scans
from scripts.data.given_scans import name_scan, name_source, scans_sha256
from scripts.data.splits import load_or_make_split
from scripts.io.digest import file_sha256


def given(scans: list[dict]) -> list[dict]:
    """The records as MONAI Label has them: paths alone."""
    return [{"image": scan["image"], "label": scan["label"]} for scan in scans]


def test_scan_without_a_name_gets_that_of_its_file() -> None:
    assert name_scan({"image": "/studies/BraTS-GLI-00005-001.nii.gz"}) == {
        "case": "BraTS-GLI-00005-001",
        "patient": "BraTS-GLI-00005",
        "image": "/studies/BraTS-GLI-00005-001.nii.gz",
    }


def test_scan_with_a_name_keeps_it() -> None:
    record = {"case": "a", "patient": "p", "image": ["x_t1.nii", "x_t2.nii"]}
    assert name_scan(record) == record


def test_scans_of_a_split_are_told_by_its_file(tiny_cohort: Path, tmp_path: Path) -> None:
    split = load_or_make_split(find_scans(tiny_cohort), tmp_path / "split.json")
    found = scans_sha256(tmp_path / "split.json", split.training, split.validation)
    assert found == file_sha256(tmp_path / "split.json")
    # Of a file that lies there from another run, nothing is said about these.
    assert scans_sha256(tmp_path / "split.json", given(split.training), given(split.validation)) != found


def test_given_scans_are_told_by_their_voxels_and_sides(tiny_cohort: Path, tmp_path: Path) -> None:
    scans = given(find_scans(tiny_cohort))
    moved = shutil.copy(scans[0]["image"], tmp_path / "other_name.nii.gz")
    hashes = [
        scans_sha256(tmp_path / "split.json", training, validation)
        for training, validation in (
            (scans[:2], scans[2:3]),
            ([scans[1], {"image": str(moved)}], scans[2:3]),
            (scans[:2], scans[3:4]),
            (scans[:1], scans[1:3]),
        )
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
    json.dumps(hashes)


@pytest.mark.parametrize(
    ("image", "expected"),
    [("/data/cohort/a/a.nii.gz", "cohort, t1ce"), ("/studies/a.nii.gz", "studies, t1ce")],
)
def test_source_is_the_folder_of_the_scans(image: str, expected: str) -> None:
    assert name_source("/data/cohort", [{"image": image}], ["t1ce"]) == expected
