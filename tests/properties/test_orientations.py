"""However the voxels of a scan are stored, and however it is turned, the maps are the same ones."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, ornt_transform

from tests.heads import make_head, rotation, save_scan, scan_affine
from tests.inference_route import Inferred, infer

# No spacing is a round number, no two are equal: the slices of 17.3 mm stay the slices.
SHAPE, SPACING = (32, 37, 8), (5.1, 5.7, 17.3)
HEAD = make_head(SHAPE, SPACING)
AFFINE = scan_affine(SHAPE, SPACING)
KINDS = ("total_uncertainty", "anomaly", "epistemic", "aleatoric", "reconstruction", "mask")
SIGNS = list(product(*("RL", "AP", "SI")))
ORIENTATIONS = ["".join(codes) for signs in SIGNS for codes in permutations(signs)]
REFERENCE = "voxelsRAS"  # a prefix, because ASL alone would name another sequence
OBLIQUE = {"one": (14, 11), "other": (-18, 10), "steep": (20, -20)}


@pytest.fixture(scope="module")
def runs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Inferred:
    folder = tmp_path_factory.mktemp("orientations")
    canonical = nibabel.Nifti1Image(HEAD, AFFINE)
    (folder / "scans").mkdir()
    for codes in ORIENTATIONS:
        stored = canonical.as_reoriented(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)))
        assert nibabel.aff2axcodes(stored.affine) == tuple(codes)
        nibabel.save(stored, folder / "scans" / f"voxels{codes}.nii.gz")
    for name, angles in OBLIQUE.items():
        save_scan(folder / "scans" / f"{name}.nii.gz", HEAD, rotation(*angles) @ AFFINE)
    return infer(folder / "scans", folder / "maps", model)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


def test_the_maps_are_worth_comparing(runs):
    for kind in KINDS:
        values = runs.values(REFERENCE, kind)
        assert 0.02 < (values != 0).mean() < 0.9
        for axis in range(3):
            assert not np.allclose(values, np.flip(values, axis))
    assert np.isnan(runs.scores(REFERENCE)).any()
    assert np.isfinite(runs.scores(REFERENCE)).sum() >= 5


@pytest.mark.case(24)
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_orientation_gives_the_same_maps_on_its_own_grid(runs, codes):
    case = f"voxels{codes}"
    scan = nibabel.load(runs.folder.parent / "scans" / f"{case}.nii.gz")
    for kind in KINDS:
        written = runs.image(case, kind)
        assert written.shape == scan.shape
        assert np.array_equal(written.affine, scan.affine)
        back = written.as_reoriented(ornt_transform(axcodes2ornt(codes), axcodes2ornt("RAS")))
        np.testing.assert_array_equal(np.asanyarray(back.dataobj), runs.values(REFERENCE, kind), err_msg=kind)
    np.testing.assert_array_equal(runs.scores(case), runs.scores(REFERENCE))
    assert runs.results[case].scan_score == runs.results[REFERENCE].scan_score


@pytest.mark.case(17)
@pytest.mark.parametrize("name", OBLIQUE)
def test_an_oblique_scan_gives_the_maps_of_the_straight_one_on_its_own_grid(runs, name):
    scan = nibabel.load(runs.folder.parent / "scans" / f"{name}.nii.gz")
    assert nibabel.aff2axcodes(scan.affine) == ("R", "A", "S")
    for kind in KINDS:
        written = runs.image(name, kind)
        assert written.shape == scan.shape
        assert np.array_equal(written.affine, scan.affine)
        expected = runs.values(REFERENCE, kind)
        if kind != "mask":  # the affine in the file is rounded to 32 bits, so the voxels are a hair apart
            tolerance = 2e-5 * np.abs(expected).max()
            np.testing.assert_allclose(
                np.asanyarray(written.dataobj), expected, rtol=1e-4, atol=tolerance, err_msg=kind
            )
    assert (runs.values(name, "mask") != runs.values(REFERENCE, "mask")).mean() < 1e-3
    np.testing.assert_allclose(runs.scores(name), runs.scores(REFERENCE), rtol=1e-4)
