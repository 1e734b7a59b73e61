from __future__ import annotations

import builtins
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from scripts.data.phantom import generate_cohort, has_tumour
from scripts.data.phantom_anatomy import Tissue
from scripts.data.phantom_atlas import load_atlas
from scripts.data.phantom_contrast import MODALITIES
from scripts.data.phantom_fields import Grid, smooth_noise
from scripts.data.phantom_subject import make_subject
from scripts.errors import InputError, ResourceError

COARSE = {"resolution_mm": 4.0, "slice_mm": 5.0, "progress": False}
GRID = Grid((4.0, 4.0, 5.0))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom")
    generate_cohort(folder, subjects=2, seed=3, **COARSE)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    generate_cohort(tmp_path, subjects=2, modalities=["t1ce"], **COARSE)
    return tmp_path


def scan(folder: Path, case: str, kind: str) -> nibabel.Nifti1Image:
    return nibabel.load(folder / case / f"{case}_{kind}.nii.gz")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nii.gz")}


def test_layout_is_that_of_brats(cohort):
    expected = {
        f"{case}/{case}_{kind}.nii.gz"
        for case in ("Phantom_001", "Phantom_002")
        for kind in (*MODALITIES, "seg")
    }
    assert set(files(cohort)) == expected
    assert sorted(path.name for path in cohort.iterdir()) == ["Phantom_001", "Phantom_002", "cohort.json"]


@pytest.mark.parametrize("kind", [*MODALITIES, "seg"])
def test_geometry_is_written_in_full(cohort, kind):
    image = scan(cohort, "Phantom_002", kind)
    assert image.shape == GRID.shape == (52, 58, 35)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(image.affine, GRID.affine)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert bytes(image.header["descrip"].item()) == b"synthetic phantom"


def test_same_seed_gives_the_same_bytes_in_a_cohort_of_any_size(cohort, tmp_path):
    names = generate_cohort(tmp_path, subjects=1, seed=3, **COARSE)
    assert names == ["Phantom_001"]
    written, full = files(tmp_path), files(cohort)
    assert written == {name: full[name] for name in written}


def test_a_scan_does_not_depend_on_the_other_modalities(cohort, tmp_path):
    generate_cohort(tmp_path, subjects=1, seed=3, modalities="flair", **COARSE)
    name = "Phantom_001/Phantom_001_flair.nii.gz"
    assert files(tmp_path)[name] == files(cohort)[name]


def test_seeds_and_subjects_differ(cohort, small):
    first, second = (scan(cohort, case, "t1ce").get_fdata() for case in ("Phantom_001", "Phantom_002"))
    other = scan(small, "Phantom_001", "t1ce").get_fdata()
    for one, two in ((first, second), (first, other)):
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] < 0.98


def test_tumour_free_subjects_have_an_empty_mask(cohort):
    assert not np.asarray(scan(cohort, "Phantom_001", "seg").dataobj).any()
    assert set(np.unique(np.asarray(scan(cohort, "Phantom_002", "seg").dataobj))) == {0, 1, 2, 4}


def test_tumour_leaves_many_slices_free(cohort):
    labels = np.asarray(scan(cohort, "Phantom_002", "seg").dataobj)
    assert 0.05 < labels.any(axis=(0, 1)).mean() < 0.6


def test_facts_of_the_cohort_file(cohort):
    facts = json.loads((cohort / "cohort.json").read_text())
    assert facts["synthetic"] is True
    assert "synthetic" in facts["description"]
    assert (facts["seed"], facts["version"]) == (3, 1)
    assert facts["subjects"]["Phantom_001"] == {"tumour": False, "centre_mm": None, "radius_mm": None}
    tumour = facts["subjects"]["Phantom_002"]
    labels = np.asarray(scan(cohort, "Phantom_002", "seg").dataobj)
    core = np.argwhere((labels == 1) | (labels == 4))
    centre = nibabel.affines.apply_affine(GRID.affine, core).mean(axis=0)
    assert np.linalg.norm(centre - tumour["centre_mm"]) < 0.5 * tumour["radius_mm"]
    radius = np.cbrt(len(core) * 4 * 4 * 5 * 3 / (4 * np.pi))
    assert radius == pytest.approx(tumour["radius_mm"], rel=0.35)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_masks_lie_in_the_brain_and_fractions_add_up(number):
    subject = make_subject(GRID, seed=0, number=number, tumour=True)
    assert subject.labels.any()
    assert not (subject.labels > 0)[~subject.brain].any()
    total = sum(subject.fractions.values())
    assert min(values.min() for values in subject.fractions.values()) >= 0
    assert total.max() <= 1 + 1e-5
    np.testing.assert_allclose(total[subject.brain], 1, atol=1e-4)
    litres = subject.brain.sum() * 4 * 4 * 5 * 1e-6
    assert 1.2 < litres < 2.6


def test_the_same_head_stands_with_and_without_tumour():
    healthy, ill = (make_subject(GRID, seed=0, number=1, tumour=tumour) for tumour in (False, True))
    distance = np.linalg.norm(GRID.coordinates() - ill.tumour.centre_mm.reshape(3, 1, 1, 1), axis=0)
    far = distance > 4 * ill.tumour.radius_mm
    assert far.mean() > 0.2
    for tissue in healthy.fractions:
        np.testing.assert_allclose(healthy.fractions[tissue][far], ill.fractions[tissue][far], atol=0.02)


def test_ring_is_bright_on_t1ce_only(cohort):
    labels = np.asarray(scan(cohort, "Phantom_002", "seg").dataobj)
    head = make_subject(GRID, seed=3, number=2, tumour=True)
    white = (head.fractions[Tissue.WHITE] > 0.9) & (labels == 0)
    means = {
        kind: {name: values[where].mean() for name, where in (("white", white), ("ring", labels == 4))}
        for kind in ("t1", "t1ce")
        for values in [scan(cohort, "Phantom_002", kind).get_fdata()]
    }
    assert means["t1ce"]["ring"] > 1.1 * means["t1ce"]["white"]
    assert means["t1"]["ring"] < 0.9 * means["t1"]["white"]


def test_gains_differ_and_air_is_nearly_black(cohort):
    levels = []
    for kind in MODALITIES:
        values = scan(cohort, "Phantom_001", kind).get_fdata()
        levels.append(np.percentile(values, 99))
        assert values[:3, :3].mean() < 0.06 * levels[-1]
    assert max(levels) / min(levels) > 3


def test_without_skull_everything_outside_the_brain_is_zero(tmp_path):
    generate_cohort(tmp_path, subjects=1, modalities=["t1ce"], skull=False, **COARSE)
    values = scan(tmp_path, "Phantom_001", "t1ce").get_fdata()
    brain = make_subject(GRID, seed=0, number=1, tumour=False).brain
    assert (values[~brain] == 0).all()
    assert (values[brain] > 0).mean() > 0.99


def test_resumes_without_touching_finished_files(small):
    before = files(small)
    lost = small / "Phantom_002" / "Phantom_002_t1ce.nii.gz"
    lost.unlink()
    times = {path: path.stat().st_mtime_ns for path in small.rglob("*.nii.gz")}
    generate_cohort(small, subjects=2, modalities=["t1ce"], **COARSE)
    assert files(small) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_complete_cohort_is_not_made_again(small, monkeypatch):
    monkeypatch.setattr("scripts.data.phantom.make_subject", None)
    assert generate_cohort(small, subjects=2, modalities=["t1ce"], **COARSE) == ["Phantom_001", "Phantom_002"]


def test_a_folder_of_other_settings_is_refused(small):
    with pytest.raises(InputError, match=r"seed 0 \(wanted 1\)"):
        generate_cohort(small, subjects=2, seed=1, **COARSE)
    (small / "cohort.json").unlink()
    with pytest.raises(InputError, match=r"not the cohort\.json"):
        generate_cohort(small, subjects=2, **COARSE)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("subjects", 0), ("seed", -1), ("tumour_fraction", 1.5), ("modalities", ["ct"]), ("slice_mm", 0)],
)
def test_wrong_arguments_are_named(tmp_path, argument, value):
    with pytest.raises(InputError, match=f"^{argument} must"):
        generate_cohort(tmp_path, **{**COARSE, argument: value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0), (0.25, 6), (0.5, 12), (1.0, 24)])
def test_tumour_fraction_is_kept(fraction, expected):
    assert sum(has_tumour(number, fraction) for number in range(1, 25)) == expected


def test_missing_nilearn_names_the_remedy(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("nilearn"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ResourceError, match="pip install nilearn"):
        load_atlas.__wrapped__()


def test_smooth_noise_has_unit_variance_and_is_the_same_on_every_grid():
    fine, coarse = (
        smooth_noise(Grid(spacing), 12.0, np.random.default_rng(0)) for spacing in ((2, 2, 2), (4, 4, 2))
    )
    assert fine.std() == pytest.approx(1, abs=0.1)
    assert np.diff(fine, axis=0).std() < 0.25
    middle = fine.reshape(coarse.shape[0], 2, coarse.shape[1], 2, -1).mean(axis=(1, 3))
    assert np.corrcoef(middle.ravel(), coarse.ravel())[0, 1] > 0.99
