"""What may be allowed of scans in inference may be allowed of them in training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from scripts.errors import find_bundle_error


@pytest.fixture
def scans(tiny_cohort: Path, tmp_path: Path) -> Path:
    """A copy of the cohort without a word on orientation, and with masks of one half beside the scans."""
    folder = tmp_path / "scans"
    shutil.copytree(tiny_cohort, folder)
    for path in folder.rglob("*.nii.gz"):
        image = nibabel.load(path)
        bare = nibabel.Nifti1Image(np.asanyarray(image.dataobj), None)
        bare.header.set_zooms(image.header.get_zooms())
        nibabel.save(bare, path)
    for path in list(folder.rglob("*_t1ce.nii.gz")):
        image = nibabel.load(path)
        mask = (image.get_fdata() > 0).astype(np.uint8)
        mask[mask.shape[0] // 2 :] = 0
        beside = nibabel.Nifti1Image(mask, None, image.header)
        nibabel.save(beside, path.with_name(path.name.replace("_t1ce", "_brain_mask")))
    return folder


def test_training_takes_files_as_it_is_told_to_and_remembers_it(
    start_training: Callable, scans: Path, tmp_path: Path
) -> None:
    given = {"dataset_dir": str(scans), "epochs": 1}
    with pytest.raises(RuntimeError) as error:
        start_training(tmp_path / "strict", **given).run()
    assert "--assume_identity true" in str(find_bundle_error(error.value))

    whole = start_training(tmp_path / "whole", assume_identity=True, **given)
    whole.run()
    masked = start_training(tmp_path / "masked", assume_identity=True, brain_mask="apply", **given)
    masked.run()
    images = [run.parser.get_parsed_content("train#dataset").images > 0 for run in (whole, masked)]
    assert images[1].sum() < 0.8 * images[0].sum()
    state = torch.load(tmp_path / "masked" / "resume.pt", weights_only=True)
    assert state["fingerprint"]["rules"] == {
        "volume": None,
        "single_slice": False,
        "assume_identity": True,
        "resample_to": "none",
        "brain_mask": "apply",
    }
    with pytest.raises(RuntimeError) as error:
        start_training(tmp_path / "masked", assume_identity=True, **given).run()
    assert "brain_mask" in str(find_bundle_error(error.value))


def test_a_run_by_the_strict_rules_says_nothing_of_them(start_training: Callable, tmp_path: Path) -> None:
    start_training(tmp_path, epochs=1).run()
    assert "rules" not in torch.load(tmp_path / "resume.pt", weights_only=True)["fingerprint"]
