"""Starting from other weights, and never from those that know a test patient."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.engines.initial_weights import describe_initial, start_from
from scripts.errors import InputError, ModelError
from scripts.io.digest import file_sha256
from tests.small_networks import small_vae
from tests.split_files import write_split


@pytest.fixture
def split_file(tmp_path: Path) -> str:
    """Of the training that starts."""
    write_split(tmp_path, test=["tested"])
    return str(tmp_path / "split.json")


def make_weights(folder: Path, *patients: str, initial: dict | None = None, split: bool = True) -> Path:
    folder.mkdir()
    torch.save(small_vae(seed=5).state_dict(), folder / "model.pt")
    settings = {"initial_weights": initial} if initial else {}
    torch.save({"fingerprint": {"split": write_split(folder, patients), **settings}}, folder / "resume.pt")
    if not split:
        (folder / "split.json").unlink()
    return folder / "model.pt"


def test_patients_behind_weights_go_back_to_the_first_of_them(tmp_path) -> None:
    first = make_weights(tmp_path / "first", "b", "a")
    volumes = ["voxels of a", "voxels of b"]
    assert describe_initial(first) == {
        "sha256": file_sha256(first),
        "patients": ["a", "b"],
        "volumes": volumes,
    }
    second = make_weights(tmp_path / "second", "c", initial=describe_initial(first))
    assert describe_initial(second)["patients"] == ["a", "b", "c"]
    assert describe_initial(second)["volumes"] == [*volumes, "voxels of c"]
    unknown = make_weights(tmp_path / "unknown", split=False)
    nobody = {"patients": None, "volumes": None}
    assert describe_initial(unknown) == {"sha256": file_sha256(unknown), **nobody}
    third = make_weights(tmp_path / "third", "d", initial=describe_initial(unknown))
    assert describe_initial(third)["patients"] is None


def test_a_network_gets_the_weights(tmp_path, split_file, caplog) -> None:
    path = make_weights(tmp_path / "run", "a")
    network = small_vae(seed=0)
    start_from(network, str(path), split_file)
    for name, value in small_vae(seed=5).state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    assert "make sure" not in caplog.text


def test_it_is_said_that_the_patients_are_not_known(tmp_path, split_file, caplog) -> None:
    path = make_weights(tmp_path / "run", split=False)
    start_from(small_vae(), str(path), split_file)
    assert f"{path}: no split.json of its training beside it; make sure" in caplog.text


@pytest.mark.parametrize("inherited", [False, True])
def test_weights_that_know_a_test_patient_are_refused_and_not_loaded(tmp_path, split_file, inherited) -> None:
    path = make_weights(tmp_path / "first", "a", "tested")
    if inherited:
        path = make_weights(tmp_path / "second", "b", initial=describe_initial(path))
    network = small_vae(seed=0)
    with pytest.raises(InputError, match=r"model.pt: .* 1 were in their training .* tested first; move"):
        start_from(network, str(path), split_file)
    for name, value in small_vae(seed=0).state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_a_test_patient_is_known_by_volume_under_another_name(tmp_path) -> None:
    path = make_weights(tmp_path / "run", "a")
    write_split(tmp_path, test=["b", "c"])
    split = json.loads((tmp_path / "split.json").read_text())
    split["test"][1]["image_sha256"] = "voxels of a"
    (tmp_path / "split.json").write_text(json.dumps(split))
    with pytest.raises(InputError, match="1 were in their training or validation, c first"):
        start_from(small_vae(), str(path), str(tmp_path / "split.json"))


def test_missing_weights_and_those_of_another_network_are_refused(tmp_path, split_file) -> None:
    with pytest.raises(ModelError, match="nothing.pt: expected a weights file, found none"):
        start_from(small_vae(), str(tmp_path / "nothing.pt"), split_file)
    with pytest.raises(ModelError, match="do not fit the network"):
        start_from(small_vae(latent_size=4), str(make_weights(tmp_path / "run", "a")), split_file)
