from __future__ import annotations

import pytest
import torch

from scripts.io.run_folder import SeenScans, inherited_scans, own_scans, read_settings
from tests.split_files import write_split


def test_own_scans_are_those_of_training_and_validation(tmp_path) -> None:
    sha256 = write_split(tmp_path, ["a", "b"], ["c"], ["d"])
    torch.save({"fingerprint": {"split": sha256}}, tmp_path / "resume.pt")
    volumes = frozenset({"voxels of a", "voxels of b", "voxels of c"})
    assert own_scans(tmp_path) == SeenScans(frozenset({"a", "b", "c"}), volumes)


@pytest.mark.parametrize("settings", [{}, {"split": "of given scans"}, None])
def test_a_split_that_the_settings_do_not_name_tells_nothing(tmp_path, settings) -> None:
    assert own_scans(tmp_path) is None
    write_split(tmp_path, ["a", "b"], ["c"], ["d"])
    if settings is not None:
        torch.save({"fingerprint": settings}, tmp_path / "resume.pt")
    assert own_scans(tmp_path) is None


def test_settings_are_those_of_the_resume_state(tmp_path) -> None:
    assert read_settings(tmp_path) == {}
    torch.save({"fingerprint": {"seed": 7}, "epoch": 3}, tmp_path / "resume.pt")
    assert read_settings(tmp_path) == {"seed": 7}


def test_inherited_scans_are_none_behind_random_weights_and_unknown_behind_some() -> None:
    assert inherited_scans({"seed": 7}) == SeenScans()
    initial = {"sha256": "0", "patients": ["a", "b"], "volumes": ["c"]}
    assert inherited_scans({"initial_weights": initial}) == SeenScans(frozenset("ab"), frozenset("c"))
    assert inherited_scans({"initial_weights": initial | {"patients": None, "volumes": None}}) is None
