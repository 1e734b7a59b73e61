"""What a user may allow, and what a machine cannot do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from scripts.errors import InputError, ResourceError
from scripts.io.space import check_space
from scripts.preflight import header_checks
from scripts.preflight.battery import examine, examine_headers
from scripts.preflight.loading import LoadScand
from scripts.preflight.report import decide
from scripts.preflight.rules import Rules
from tests.heads import save_scan
from tests.preflight.files import AFFINE, HEAD, INPUTS


def write(id_: str, folder: Path) -> Path:
    (given,) = (one for one in INPUTS if one.id == id_)
    return given.write(folder)


@pytest.mark.parametrize("id_", ["13-flat", "13-one-slice"])
def test_a_single_slice_is_read_when_asked_and_marked(id_: str, tmp_path: Path) -> None:
    found = examine([write(id_, tmp_path)], Rules(single_slice=True))
    decide(found.name, found.reports)
    assert found.voxels is not None
    np.testing.assert_array_equal(found.voxels[0, ..., 0], HEAD[..., 18])
    assert any("slice-level, without volume context" in one.remedy for one in found.reports)


@pytest.mark.case(19)
def test_axes_as_stored_when_asked_and_marked(tmp_path: Path) -> None:
    path = write("19-no-form", tmp_path)
    found = examine([path], Rules(assume_identity=True))
    decide(found.name, found.reports)
    np.testing.assert_array_equal(found.headers[0].affine, nibabel.load(path).affine)
    (report,) = (one for one in found.reports if one.check == "origin")
    assert report.level == "warning"
    assert "are assumptions" in report.remedy


@pytest.mark.parametrize("id_", ["05-free-memory", "16-free-memory"])
def test_a_scan_that_memory_cannot_hold_is_refused_before_it_is_read(
    id_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_scan(tmp_path / "scan.nii", HEAD, AFFINE)
    free = HEAD.size * header_checks.BYTES_PER_VOXEL
    monkeypatch.setattr(header_checks.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    decide("scan", examine_headers([path]).reports)
    monkeypatch.setattr(header_checks.psutil, "virtual_memory", lambda: SimpleNamespace(available=free - 1))
    found = examine_headers([path])
    with pytest.raises(ResourceError, match="expected a scan that fits into memory, found shape") as error:
        decide(found.name, found.reports)
    assert error.value.exit_code == 4


@pytest.mark.case(48)
def test_a_disk_without_room_is_refused_before_the_run(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(ResourceError, match="expected room for .* MiB of maps, found") as error:
        check_space(tmp_path / "not", 2**62)
    assert error.value.exit_code == 4


@pytest.mark.case(21)
def test_the_affine_of_the_sform_is_the_one_that_counts(tmp_path: Path) -> None:
    path = write("21-pixdim", tmp_path)
    image = LoadScand("image")({"image": str(path)})["image"]
    np.testing.assert_array_equal(image.affine, nibabel.load(path).affine)
    np.testing.assert_allclose(image.affine, AFFINE)


def test_a_word_that_is_no_choice_is_refused() -> None:
    with pytest.raises(InputError, match="Expected a resample to out of none, first"):
        Rules(resample_to="second")


def test_a_mask_may_hold_two_values(tmp_path: Path) -> None:
    path = write("07-two-values", tmp_path)
    image = LoadScand("label", content=False)({"label": str(path), "channels": [3]})["label"]
    np.testing.assert_array_equal(image.numpy()[0], HEAD > 0)
    with pytest.raises(InputError, match="no image content"):
        LoadScand("label")({"label": str(path)})
