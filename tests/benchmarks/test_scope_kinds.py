from __future__ import annotations

import nibabel
import numpy as np
import pytest

from benchmarks.scope import Judged, judge, line, main
from benchmarks.scope_scans import FACE_MM, cut_face, invert, lesion_volume, link, make_up
from scripts.errors import InputError
from tests import people


@pytest.fixture(scope="module")
def head() -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image(people.person(3), people.AFFINE)


def test_inverting_keeps_background_and_range_and_turns_tissue_round(head) -> None:
    before, after = (np.asarray(image.dataobj) for image in (head, invert(head)))
    tissue = before != after
    assert 0.2 < tissue.mean() < 0.8
    assert before[tissue].min() > before[~tissue].mean()
    assert np.ptp((before + after)[tissue]) < 1e-3
    assert (after[tissue].min(), after[tissue].max()) == pytest.approx(
        (before[tissue].min(), before[tissue].max())
    )


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR"])
def test_the_face_is_cut_away_whatever_the_voxel_order(head, axes: str) -> None:
    codes = nibabel.orientations.axcodes2ornt(axes)
    turned = head.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.io_orientation(head.affine), codes)
    )
    cut = cut_face(turned)
    before, after = (np.asarray(nibabel.as_closest_canonical(image).dataobj) for image in (head, cut))
    gone = before != after
    assert not after[gone].any()
    heights = np.flatnonzero(gone.any(axis=(0, 1)))
    step = cut.header.get_zooms()[2]
    assert heights[0] == 0
    assert (after.shape[2] - 1 - heights[-1]) * step >= FACE_MM
    assert np.flatnonzero(gone.any(axis=(0, 2)))[0] >= before.shape[1] // 2 - 1


def test_the_volume_of_a_mask_is_in_millilitres(tmp_path) -> None:
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[:5, :4, :2] = 3
    nibabel.save(nibabel.Nifti1Image(mask, np.diag([2.0, 2, 5, 1])), tmp_path / "seg.nii.gz")
    assert lesion_volume(tmp_path / "seg.nii.gz") == pytest.approx(40 * 20 / 1000)


def test_a_line_tells_how_clear_the_verdicts_are() -> None:
    judged = [Judged(0.002, True), Judged(0.0001, True), Judged(0.4, False)]
    assert line("some", judged).split() == ["some", "2", "of", "3", "0.002", "0.4"]
    assert line("none", judged[2:]).split() == ["none", "0", "of", "1", "-", "0.4"]


def test_a_scan_without_a_mask_is_named(head, tmp_path, monkeypatch) -> None:
    (tmp_path / "split.json").write_text('{"training": []}', encoding="utf-8")
    (tmp_path / "scans").mkdir()
    nibabel.save(head, tmp_path / "scans" / "somebody_t1ce.nii.gz")
    folders = [f"--{name}={tmp_path / 'scans'}" for name in ("lgg", "brats", "ms", "child")]
    monkeypatch.setattr("sys.argv", ["scope", f"--split={tmp_path / 'split.json'}", *folders])
    with pytest.raises(InputError, match="scans: expected a lesion mask of every scan, none of somebody"):
        main()


@pytest.mark.slow
def test_the_shipped_weights_refuse_what_is_no_head(tmp_path) -> None:
    judged = judge(make_up(tmp_path / "made_up"))
    assert [each.refused for each in judged] == [True] * 4
    empty = link([], tmp_path / "empty")
    with pytest.raises(RuntimeError, match="expected every scan judged, got 0 of 0"):
        judge(empty)
