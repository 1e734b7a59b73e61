from __future__ import annotations

import pytest
import torch

from scripts.io.run_folder import inherited_patients, own_patients, read_settings
from tests.split_files import write_split


def test_own_patients_are_those_of_training_and_validation(tmp_path) -> None:
    sha256 = write_split(tmp_path, ["a", "b"], ["c"], ["d"])
    torch.save({"fingerprint": {"split": sha256}}, tmp_path / "resume.pt")
    assert own_patients(tmp_path) == {"a", "b", "c"}


@pytest.mark.parametrize("settings", [{}, {"split": "of given scans"}, None])
def test_a_split_that_the_settings_do_not_name_tells_nothing(tmp_path, settings) -> None:
    assert own_patients(tmp_path) is None
    write_split(tmp_path, ["a", "b"], ["c"], ["d"])
    if settings is not None:
        torch.save({"fingerprint": settings}, tmp_path / "resume.pt")
    assert own_patients(tmp_path) is None


def test_settings_are_those_of_the_resume_state(tmp_path) -> None:
    assert read_settings(tmp_path) == {}
    torch.save({"fingerprint": {"seed": 7}, "epoch": 3}, tmp_path / "resume.pt")
    assert read_settings(tmp_path) == {"seed": 7}


def test_inherited_patients_are_none_behind_random_weights_and_unknown_behind_some() -> None:
    assert inherited_patients({"seed": 7}) == set()
    assert inherited_patients({"initial_weights": {"sha256": "0", "patients": ["a", "b"]}}) == {"a", "b"}
    assert inherited_patients({"initial_weights": {"sha256": "0", "patients": None}}) is None
