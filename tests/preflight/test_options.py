"""What options allow, through the whole route of inference."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from scripts.errors import ModelError
from scripts.preflight.reading import read_voxels
from scripts.preflight.rules import Rules
from scripts.preflight.scan_header import ScanHeader
from tests.heads import save_scan
from tests.inference_route import infer, make_model
from tests.preflight.files import AFFINE, HEAD, INPUTS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


def write(id_: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (given,) = (one for one in INPUTS if one.id == id_)
    return given.write(folder)


@pytest.mark.case(10)
def test_one_volume_of_a_series_is_mapped_as_by_itself(tmp_path: Path, model: Path) -> None:
    values = np.stack([HEAD[::-1], HEAD, HEAD * 2], axis=-1)
    series = save_scan(tmp_path / "series" / "scan.nii.gz", values, AFFINE)
    alone = save_scan(tmp_path / "alone" / "scan.nii.gz", HEAD, AFFINE)
    from_series = infer(series, tmp_path / "maps", model, volume=1)
    by_itself = infer(alone, tmp_path / "other", model)
    np.testing.assert_array_equal(from_series.values("scan"), by_itself.values("scan"))
    assert from_series.results["scan"].settings["volume"] == 1


@pytest.mark.parametrize("id_", ["13-flat", "13-one-slice"])
def test_a_single_slice_is_mapped_on_its_own_grid(tmp_path: Path, model: Path, id_: str) -> None:
    path = write(id_, tmp_path / "scans")
    run = infer(path, tmp_path / "maps", model, single_slice=True)
    written = run.image(id_)
    scan = nibabel.load(path)
    assert written.shape == scan.shape
    assert np.array_equal(written.affine, scan.affine)
    assert np.asanyarray(written.dataobj).any()
    assert len(run.results[id_].slices) == 1
    assert any("without volume context" in one["remedy"] for one in run.results[id_].findings)


@pytest.mark.case(19)
def test_a_scan_without_orientation_is_mapped_when_asked_and_its_result_says_so(
    tmp_path: Path, model: Path
) -> None:
    path = write("19-no-form", tmp_path / "scans")
    run = infer(path, tmp_path / "maps", model, assume_identity=True)
    assert run.image("19-no-form").shape == HEAD.shape
    assert run.results["19-no-form"].settings["assume_identity"] is True
    warnings = [one["check"] for one in run.results["19-no-form"].findings if one["level"] == "warning"]
    assert "origin" in warnings


@pytest.mark.case(18)
def test_a_sheared_scan_gives_the_maps_of_the_straight_one(tmp_path: Path, model: Path) -> None:
    """Slices shifted backwards one voxel each: the same head, stored on a sheared grid."""
    shift = 5.0 / 4.5  # mm backwards per mm upwards: one voxel a slice
    affine = AFFINE.copy()
    affine[1, 2] = shift * 4.5
    depth = HEAD.shape[2]
    padded = np.pad(HEAD, ((0, 0), (depth, 0), (0, 0)))
    stored = np.stack([np.roll(padded[..., k], -k, axis=1) for k in range(depth)], axis=-1)
    affine[:3, 3] = AFFINE[:3, 3] - AFFINE[:3, 1] * depth
    sheared = infer(save_scan(tmp_path / "a" / "scan.nii.gz", stored, affine), tmp_path / "x", model)
    straight = infer(save_scan(tmp_path / "b" / "scan.nii.gz", padded, _moved(depth)), tmp_path / "y", model)
    back = np.stack([np.roll(sheared.values("scan")[..., k], k, axis=1) for k in range(depth)], axis=-1)
    expected = straight.values("scan")
    assert expected.any()
    # A voxel on the head's threshold may fall on either side of it.
    strays = ~np.isclose(back, expected, rtol=1e-3, atol=2e-3 * expected.max())
    assert strays.mean() < 1e-4
    np.testing.assert_allclose(sheared.scores("scan"), straight.scores("scan"), rtol=1e-3)


def _moved(voxels: int) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] -= AFFINE[:3, 1] * voxels
    return affine


@pytest.mark.case(6)
def test_broken_background_changes_no_score(tmp_path: Path, model: Path) -> None:
    broken = infer(write("06-background-nan", tmp_path / "a"), tmp_path / "x", model)
    whole = infer(write("00-good", tmp_path / "b"), tmp_path / "y", model)
    np.testing.assert_allclose(broken.scores("06-background-nan"), whole.scores("00-good"), rtol=1e-5)
    np.testing.assert_allclose(
        broken.values("06-background-nan", "reconstruction"),
        whole.values("00-good", "reconstruction"),
        rtol=1e-4,
    )


@pytest.mark.case(21)
def test_a_wrong_pixdim_changes_nothing(tmp_path: Path, model: Path) -> None:
    wrong = infer(write("21-pixdim", tmp_path / "a"), tmp_path / "x", model)
    right = infer(write("00-good", tmp_path / "b"), tmp_path / "y", model)
    np.testing.assert_array_equal(wrong.values("21-pixdim"), right.values("00-good"))


@pytest.mark.case(39)
def test_a_scan_under_two_names_is_mapped_once(tmp_path: Path, model: Path) -> None:
    first = write("00-good", tmp_path / "scans")
    (first.parent / "again.nii.gz").write_bytes(first.read_bytes())
    for _ in range(2):  # and again, when the first is finished
        run = infer(first.parent, tmp_path / "maps", model)
        assert {case: one.status.value for case, one in run.results.items()} == {
            "00-good": "ok",
            "again": "duplicate",
        }
        assert run.results["again"].reason == "the same files as 00-good, which is mapped once"
        assert [path.name for path in (tmp_path / "maps" / "again").iterdir()] == ["again_result.json"]
    (first.parent / "00-good.nii.gz").unlink()
    assert infer(first.parent, tmp_path / "maps", model).results["again"].status.value == "ok"


@pytest.mark.case(45)
def test_weights_that_give_no_number_write_nothing(tmp_path: Path, model: Path) -> None:
    state = torch.load(model / "model.pt", weights_only=True)
    state["heads.bias"] = torch.full_like(state["heads.bias"], float("nan"))
    broken = tmp_path / "model"
    broken.mkdir()
    torch.save(state, broken / "model.pt")
    path = write("00-good", tmp_path / "scans")
    with pytest.raises(ModelError, match="the network gave NaN or infinity; nothing is written") as error:
        infer(path, tmp_path / "maps", broken)
    assert error.value.exit_code == 5
    found = json.loads((tmp_path / "maps" / "00-good" / "00-good_result.json").read_text())
    assert (found["status"], found["exit_code"]) == ("failed", 5)
    assert [one.name for one in (tmp_path / "maps" / "00-good").iterdir()] == ["00-good_result.json"]


def test_a_series_may_have_axes_of_length_1_after_its_volumes(tmp_path: Path) -> None:
    path = tmp_path / "series.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.stack([HEAD, HEAD + 1], axis=3)[..., None], AFFINE), path)
    header = ScanHeader(path, Rules(volume=1))
    assert header.shape == (*HEAD.shape, 2)
    np.testing.assert_allclose(read_voxels(header)[0], HEAD + 1, rtol=1e-6)
