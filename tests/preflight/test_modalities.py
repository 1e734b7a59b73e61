"""Scans of several files, and 4-D files of several volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform

from scripts.errors import InputError
from scripts.preflight.battery import examine
from scripts.preflight.loading import LoadScand
from scripts.preflight.report import decide
from scripts.preflight.rules import Rules
from tests.heads import save_scan
from tests.preflight.files import AFFINE, HEAD

SHIFTED = AFFINE.copy()
SHIFTED[:3, 3] += [2.5, 0, 0]  # half a voxel


def pair(folder: Path, values: np.ndarray, affine: np.ndarray) -> list[Path]:
    return [
        save_scan(folder / "a_t1.nii.gz", HEAD, AFFINE),
        save_scan(folder / "a_flair.nii.gz", values, affine),
    ]


@pytest.mark.parametrize(
    ("values", "affine", "says"),
    [
        (HEAD[:-1], AFFINE, r"shape \(39, 46, 36\) beside \(40, 46, 36\)"),
        (HEAD, SHIFTED, "voxels up to 2.5 mm apart"),
    ],
    ids=["33-shape", "33-place"],
)
def test_modalities_on_other_grids_are_refused(
    tmp_path: Path, values: np.ndarray, affine: np.ndarray, says: str
) -> None:
    found = examine(pair(tmp_path, values, affine))
    with pytest.raises(
        InputError, match=f"expected a_flair.nii.gz on the grid of .*{says}.*--resample_to first"
    ):
        decide(found.name, found.reports)


@pytest.mark.case(33)
def test_a_tenth_of_the_tolerance_is_no_other_grid(tmp_path: Path) -> None:
    near = AFFINE.copy()
    near[0, 3] += 1e-4
    assert examine(pair(tmp_path, HEAD, near)).voxels is not None


@pytest.mark.case(33)
def test_modalities_are_resampled_to_the_first_when_asked(tmp_path: Path) -> None:
    found = examine(pair(tmp_path, HEAD, SHIFTED), Rules(resample_to="first"))
    decide(found.name, found.reports)
    assert found.voxels is not None
    np.testing.assert_array_equal(found.voxels[0], HEAD)
    between = (HEAD[:-1] + HEAD[1:]) / 2
    np.testing.assert_allclose(found.voxels[1, 1:], between, rtol=1e-5)
    assert [one.check for one in found.reports if one.level == "warning"] == ["same_grid"]


@pytest.mark.case(33)
@pytest.mark.parametrize("codes", ["RAS", "SPL"])
def test_what_a_modality_leaves_out_is_its_background_not_its_edge(tmp_path: Path, codes: str) -> None:
    wide = np.pad(HEAD, ((3, 3), (3, 3), (0, 0)))
    affine = AFFINE.copy()
    affine[:3, 3] -= AFFINE[:3, :3] @ [3, 3, 0]
    narrow = nibabel.Nifti1Image(HEAD + 100, AFFINE).as_reoriented(
        ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    )
    nibabel.save(narrow, tmp_path / "a_flair.nii.gz")
    paths = [save_scan(tmp_path / "a_t1.nii.gz", wide, affine), tmp_path / "a_flair.nii.gz"]
    found = examine(paths, Rules(resample_to="first"))
    decide(found.name, found.reports)
    assert found.voxels is not None
    np.testing.assert_allclose(found.voxels[1], wide + 100, rtol=1e-5)


@pytest.mark.case(33)
def test_a_modality_that_leaves_out_part_of_the_head_is_refused(tmp_path: Path) -> None:
    part = AFFINE.copy()
    part[:3, 3] += AFFINE[:3, :3] @ [0, 0, 12]
    found = examine(pair(tmp_path, HEAD[..., 12:24], part), Rules(resample_to="first"))
    assert found.voxels is None
    with pytest.raises(
        InputError, match=r"expected a_flair.nii.gz to cover the head in a_t1.nii.gz, \d+% of it"
    ):
        decide(found.name, found.reports)


def test_a_finding_about_one_of_several_files_names_it(tmp_path: Path) -> None:
    paths = pair(tmp_path, HEAD, AFFINE)
    paths[1].write_bytes(b"<html>")
    found = examine(paths)
    with pytest.raises(InputError, match="a_t1.nii.gz: a_flair.nii.gz: not a NIfTI file, but HTML"):
        decide(found.name, found.reports)


@pytest.fixture
def series(tmp_path: Path) -> Path:
    return save_scan(tmp_path / "series.nii.gz", np.stack([HEAD, HEAD * 2, HEAD * 3], axis=-1), AFFINE)


@pytest.mark.parametrize("volume", [0, 2], ids=["10-first", "10-last"])
def test_the_volume_of_a_series_that_was_asked_for_is_read(series: Path, volume: int) -> None:
    image = LoadScand("image", rules=Rules(volume=volume))({"image": str(series)})["image"]
    np.testing.assert_array_equal(image.numpy()[0], HEAD * (volume + 1))


@pytest.mark.case(10)
def test_a_volume_that_is_not_there_is_refused(series: Path) -> None:
    with pytest.raises(
        InputError, match="expected volume 3, found a 4-D file with 3; choose one from 0 to 2"
    ):
        LoadScand("image", rules=Rules(volume=3))({"image": str(series)})
    with pytest.raises(InputError, match="from 0 on for --volume, got -1"):
        Rules(volume=-1)


@pytest.mark.parametrize("channels", [[2], [2, 0], [0, 1, 2]])
def test_volumes_that_a_data_set_names_are_modalities_in_its_order(series: Path, channels: list[int]) -> None:
    image = LoadScand("image", len(channels))({"image": str(series), "channels": channels})["image"]
    np.testing.assert_array_equal(image.numpy(), [HEAD * (channel + 1) for channel in channels])


@pytest.mark.parametrize(("channels", "count"), [([0, 1], 1), ([1], 2)])
def test_another_number_of_volumes_than_modalities_is_refused(
    series: Path, channels: list[int], count: int
) -> None:
    with pytest.raises(
        InputError, match=f"expected {count} volumes, one per modality, found {len(channels)}"
    ):
        LoadScand("image", count)({"image": str(series), "channels": channels})
