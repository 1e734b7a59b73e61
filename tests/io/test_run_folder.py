from __future__ import annotations

import json

import torch

from scripts.io.run_folder import inherited_patients, own_patients, read_settings, split_patients


def test_own_patients_are_those_of_training_and_validation(tmp_path) -> None:
    assert own_patients(tmp_path) is None
    sides = {"training": ["a", "b", "a"], "validation": ["c"], "test": ["d"]}
    split = {part: [{"patient": name} for name in names] for part, names in sides.items()}
    (tmp_path / "split.json").write_text(json.dumps(split | {"seed": 0}))
    assert own_patients(tmp_path) == {"a", "b", "c"}
    assert split_patients(tmp_path / "split.json", "test") == {"d"}


def test_settings_are_those_of_the_resume_state(tmp_path) -> None:
    assert read_settings(tmp_path) == {}
    torch.save({"fingerprint": {"seed": 7}, "epoch": 3}, tmp_path / "resume.pt")
    assert read_settings(tmp_path) == {"seed": 7}


def test_inherited_patients_are_none_behind_random_weights_and_unknown_behind_some() -> None:
    assert inherited_patients({"seed": 7}) == set()
    assert inherited_patients({"initial_weights": {"sha256": "0", "patients": ["a", "b"]}}) == {"a", "b"}
    assert inherited_patients({"initial_weights": {"sha256": "0", "patients": None}}) is None
