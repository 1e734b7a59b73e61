"""A brain mask beside a scan: found, judged, mended, applied; and through the whole route."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from scripts.data.layouts_files import find_brain_masks
from scripts.errors import InputError
from scripts.io.digest import file_sha256
from scripts.preflight.battery import Examination, examine
from scripts.preflight.report import decide
from scripts.preflight.rules import Rules
from tests import people
from tests.heads import save_scan
from tests.inference_route import infer, make_model

HEAD = people.person(0)
BRAIN = people.person(0, stripped=True) > 20
APPLY = Rules(brain_mask="apply")


def write(folder: Path, mask: np.ndarray | None, affine: np.ndarray = people.AFFINE) -> Path:
    if mask is not None:
        save_scan(folder / "a_brain_mask.nii.gz", mask.astype(np.uint8), affine)
    return save_scan(folder / "a_t1ce.nii.gz", HEAD, people.AFFINE)


def examined(folder: Path, mask: np.ndarray | None, affine: np.ndarray = people.AFFINE) -> Examination:
    return examine([write(folder, mask, affine)], APPLY)


def holed() -> np.ndarray:
    mask = BRAIN.copy()
    mask[28:31, 38:41, 7:9] = False
    return mask


def apart() -> np.ndarray:
    mask = BRAIN.copy()
    mask[2:4, 2:4, 2:4] = True
    return mask


MOVED = people.AFFINE.copy()
MOVED[0, 3] += 2


@pytest.mark.parametrize(
    ("mask", "affine", "says"),
    [
        (
            None,
            people.AFFINE,
            "expected one brain mask beside the scan, such as a_t1ce_brain_mask.*, found none",
        ),
        (BRAIN & False, people.AFFINE, "expected a mask of a brain, found an empty one"),
        (BRAIN | True, people.AFFINE, "found one that covers 100% of the volume"),
        (BRAIN, MOVED, "expected the brain mask a_brain_mask.nii.gz on the grid of the scan"),
        (BRAIN[:-1], people.AFFINE, "expected the brain mask a_brain_mask.nii.gz on the grid of the scan"),
    ],
    ids=["27-none", "27-empty", "27-everything", "27-moved", "27-shape"],
)
def test_a_mask_that_is_none_is_refused(
    tmp_path: Path, mask: np.ndarray | None, affine: np.ndarray, says: str
) -> None:
    found = examined(tmp_path, mask, affine)
    assert found.voxels is None
    with pytest.raises(InputError, match=f"a_t1ce.nii.gz: .*{says}"):
        decide(found.name, found.reports)


def test_what_is_allowed_of_the_scan_is_allowed_of_its_mask(tmp_path: Path) -> None:
    for name, values in (("a_t1ce", HEAD), ("a_brain_mask", BRAIN)):
        image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([*people.SPACING, 1]))
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    path = tmp_path / "a_t1ce.nii.gz"
    assert examine([path], APPLY).voxels is None
    assert examine([path], Rules(brain_mask="apply", assume_identity=True)).voxels is not None


@pytest.mark.case(27)
def test_damaged_and_several_masks_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, BRAIN)
    file = tmp_path / "a_brain_mask.nii.gz"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    found = examine([path], APPLY)
    with pytest.raises(InputError, match=r"a_brain_mask.nii.gz: the file is truncated"):
        decide(found.name, found.reports)
    save_scan(file, np.stack([BRAIN.astype(np.uint8)] * 2, axis=-1), people.AFFINE)
    found = examine([path], APPLY)
    with pytest.raises(InputError, match="mask.nii.gz: expected one volume, found a 4-D file with 2"):
        decide(found.name, found.reports)
    file.write_text("no mask")
    found = examine([path], APPLY)
    with pytest.raises(InputError, match=r"a_brain_mask.nii.gz: not a NIfTI file, but text"):
        decide(found.name, found.reports)
    file.write_bytes(content)
    (tmp_path / "a_t1ce_bet_mask.nii.gz").write_bytes(content)
    found = examine([path], APPLY)
    with pytest.raises(InputError, match=r"found a_brain_mask.nii.gz, a_t1ce_bet_mask.nii.gz"):
        decide(found.name, found.reports)


@pytest.mark.parametrize(
    ("mask", "numbers"),
    [
        (holed(), {"filled": 18, "removed": 0}),
        (apart(), {"filled": 0, "removed": 8}),
        (holed() | (apart() & ~BRAIN), {"filled": 18, "removed": 8}),
    ],
    ids=["28-holes", "28-parts", "28-both"],
)
def test_holes_are_filled_and_the_largest_part_is_taken(
    tmp_path: Path, mask: np.ndarray, numbers: dict
) -> None:
    found = examined(tmp_path, mask)
    decide(found.name, found.reports)
    (report,) = (one for one in found.reports if one.check == "brain_mask")
    assert report.level == "warning"
    assert report.numbers == numbers
    assert found.voxels is not None
    np.testing.assert_array_equal(found.voxels[0], np.where(BRAIN, HEAD, 0))


def test_a_good_mask_is_applied_without_a_word(tmp_path: Path) -> None:
    found = examined(tmp_path, BRAIN)
    assert not {"brain_mask", "brain_volume"} & {one.check for one in found.reports}
    assert found.voxels is not None
    np.testing.assert_array_equal(found.voxels[0], np.where(BRAIN, HEAD, 0))


@pytest.mark.case(27)
def test_the_volume_is_told_when_it_is_no_adults(tmp_path: Path) -> None:
    small = BRAIN.copy()
    small[:, :33] = False
    found = examined(tmp_path, small)
    (report,) = (one for one in found.reports if one.check == "brain_volume")
    expected = small.sum() * np.prod(people.SPACING) / 1000
    assert 300 < expected < 800
    assert report.numbers["volume_ml"] == pytest.approx(expected, rel=1e-5)


def test_outside_of_a_mask_is_darker_than_the_brain_where_intensities_are_negative(tmp_path: Path) -> None:
    write(tmp_path, BRAIN)
    path = save_scan(tmp_path / "a_t1ce.nii.gz", HEAD - np.float32(400), people.AFFINE)
    voxels = examine([path], APPLY).voxels
    assert voxels is not None
    assert (voxels[0][~BRAIN] == voxels[0][BRAIN].min()).all()


@pytest.mark.parametrize(
    ("name", "mine"),
    [
        ("scan_brain_mask", True),
        ("scan_t1ce_brain_mask", True),
        ("SCAN-BET-MASK", True),
        ("other_brain_mask", False),
        ("scan_mask", False),
        ("scan_flair_brain_mask", False),
    ],
)
def test_names_of_masks(tmp_path: Path, name: str, mine: bool) -> None:
    (tmp_path / f"{name}.nii.gz").touch()
    (tmp_path / "scan_t1ce.nii.gz").touch()
    assert bool(find_brain_masks(tmp_path / "scan_t1ce.nii.gz")) == mine


@pytest.mark.case(27)
def test_maps_are_those_of_the_stripped_scan_and_the_mask_counts_as_input(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    write(tmp_path / "whole", BRAIN)
    save_scan(tmp_path / "stripped" / "a_t1ce.nii.gz", np.where(BRAIN, HEAD, 0), people.AFFINE)
    masked = infer(tmp_path / "whole", tmp_path / "x", model, brain_mask="apply")
    stripped = infer(tmp_path / "stripped", tmp_path / "y", model)
    ((case, result),) = masked.results.items()
    np.testing.assert_array_equal(masked.values(case), stripped.values(case))
    assert not masked.values(case)[~BRAIN].all()
    mask = tmp_path / "whole" / "a_brain_mask.nii.gz"
    assert [one.name for one in result.inputs] == ["a_t1ce.nii.gz", mask.name]
    assert result.inputs[1].sha256 == file_sha256(mask)
    write(tmp_path / "whole", holed())
    with pytest.raises(InputError, match="of another input"):
        infer(tmp_path / "whole", tmp_path / "x", model, brain_mask="apply")
    assert json.loads((tmp_path / "x" / case / f"{case}_result.json").read_text())["status"] == "ok"


@pytest.mark.case(36)
def test_with_a_brain_mask_a_defaced_scan_has_the_maps_and_scores_of_the_whole(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    _, y, z = np.indices(HEAD.shape)
    face = ~BRAIN & (y > HEAD.shape[1] // 2) & (z < HEAD.shape[2] // 2)
    defaced = np.where(face, 0, HEAD)
    assert (defaced != HEAD).sum() > 2000, "expected a face to remove"
    for name, voxels in (("whole", HEAD), ("defaced", defaced)):
        write(tmp_path / name, BRAIN)
        save_scan(tmp_path / name / "a_t1ce.nii.gz", voxels, people.AFFINE)
    masked = [
        infer(tmp_path / name, tmp_path / f"{name}_maps", model, brain_mask="apply")
        for name in ("whole", "defaced")
    ]
    ((case, whole),), ((_, other),) = (one.results.items() for one in masked)
    assert other.scan_score == whole.scan_score
    maps = [kind for kind, file in whole.outputs.items() if str(file["name"]).endswith(".nii.gz")]
    assert len(maps) == 6
    for kind in maps:
        np.testing.assert_array_equal(masked[1].values(case, kind), masked[0].values(case, kind))
    np.testing.assert_array_equal(masked[1].scores(case), masked[0].scores(case))
