"""Every generated file by itself: which check speaks up, how loud, and what it says."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform
from scipy.ndimage import binary_fill_holes

from scripts.preflight.battery import examine, examine_headers
from scripts.preflight.loading import LoadScand
from scripts.preflight.report import decide, stops
from tests import people
from tests.preflight.files import HEAD, INPUTS, Input

refused = [one for one in INPUTS if one.refused]
mapped = [one for one in INPUTS if not one.refused]


def ids(one: Input) -> str:
    return one.id


@pytest.mark.parametrize("given", refused, ids=ids)
def test_bad_file_is_refused_in_one_sentence_that_names_it(given: Input, tmp_path: Path) -> None:
    found = examine([given.write(tmp_path)])
    assert found.voxels is None
    with pytest.raises(given.kind) as error:
        decide(found.name, found.reports)
    sentence = str(error.value)
    assert sentence.startswith(f"{given.id}{given.suffix}: ")
    assert re.search(given.says, sentence)
    assert "\n" not in sentence
    refusals = [one for one in error.value.findings if one["level"] == "refusal"]
    assert refusals[0]["check"] == given.check
    assert refusals[0]["remedy"]


@pytest.mark.parametrize("given", mapped, ids=ids)
def test_other_file_is_read_with_what_there_is_to_say(given: Input, tmp_path: Path) -> None:
    found = examine([given.write(tmp_path)])
    decide(found.name, found.reports)
    assert found.voxels is not None
    assert np.isfinite(found.voxels).all()
    loud = {one.check for one in found.reports if one.level != "note"}
    assert loud == ({given.check} if given.level == "warning" and given.check else set())
    if given.check:
        (report,) = (one for one in found.reports if one.check == given.check)
        assert report.level == given.level
        assert re.search(given.says, report.sentence)


@pytest.mark.parametrize(
    "id_", ["04-plain-named-gz", "04-gz-named-plain", "11-one-volume", "20-forms-differ"]
)
def test_what_is_mended_changes_no_voxel(id_: str, tmp_path: Path) -> None:
    (given,) = (one for one in INPUTS if one.id == id_)
    voxels = examine([given.write(tmp_path)]).voxels
    assert voxels is not None
    np.testing.assert_array_equal(voxels[0], HEAD)


@pytest.mark.parametrize("given", [one for one in refused if one.check == "size"], ids=ids)
def test_no_voxel_is_read_of_a_file_that_claims_more_than_it_holds(given: Input, tmp_path: Path) -> None:
    found = examine_headers([given.write(tmp_path)])
    # That a compressed file is cut off shows only as it is read, unless it claims the impossible.
    assert stops(found.reports) == (given.suffix == ".nii" or given.id.startswith("05"))


def test_broken_voxels_are_listed_and_become_background(tmp_path: Path) -> None:
    (given,) = (one for one in INPUTS if one.id == "06-few-nan")
    found = examine([given.write(tmp_path)])
    (report,) = (one for one in found.reports if one.check == "finite")
    assert report.numbers == {"count": 2, "inside": 2, "voxels": [[20, 23, 18], [21, 23, 18]]}
    assert found.voxels is not None
    assert found.voxels[0, 20, 23, 18] == found.voxels[0, 21, 23, 18] == 0
    same = np.ones(HEAD.shape, dtype=bool)
    same[20:22, 23, 18] = False
    np.testing.assert_array_equal(found.voxels[0][same], HEAD[same])


@pytest.mark.case(6)
@pytest.mark.case(24)
@pytest.mark.parametrize("codes", ["RAS", "LPI", "PSR", "SPR", "PIR", "SAL"])
@pytest.mark.parametrize("face_is_cut", [False, True])
def test_a_background_of_nan_is_one_of_0_in_any_orientation(
    tmp_path: Path, codes: str, face_is_cut: bool
) -> None:
    """The neck, or a face at the edge of the scan, is then all of the border that is finite."""
    head = people.person(0)
    outside = ~binary_fill_holes(head > 20)
    last = 1 + np.flatnonzero((~outside).any(axis=(0, 2))).max()
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    voxels = []
    for name, background in (("zero", 0.0), ("nan", np.nan)):
        values = np.where(outside, background, head)[:, : last - 1 if face_is_cut else None]
        path = tmp_path / f"{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), people.AFFINE).as_reoriented(turn), path)
        found = examine([path])
        assert not stops(found.reports)
        assert found.voxels is not None
        voxels.append(found.voxels)
    np.testing.assert_array_equal(*voxels)


def test_broken_voxels_are_listed_as_they_are_stored(tmp_path: Path) -> None:
    values = people.person(0)
    values[20, 30, 8] = np.nan
    turned = nibabel.Nifti1Image(values, people.AFFINE).as_reoriented(
        ornt_transform(axcodes2ornt("RAS"), axcodes2ornt("SPL"))
    )
    nibabel.save(turned, tmp_path / "scan.nii.gz")
    (report,) = (one for one in examine([tmp_path / "scan.nii.gz"]).reports if one.check == "finite")
    assert report.numbers["voxels"] == np.argwhere(np.isnan(turned.get_fdata())).tolist()


def test_reader_says_nothing_of_codecs_that_it_does_not_use(recwarn: pytest.WarningsRecorder) -> None:
    LoadScand("image")
    assert not [one for one in recwarn if "NvImgCodec" in str(one.message)]
