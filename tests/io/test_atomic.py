import errno
import json
import math
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.errors import InputError, ModelError, ResourceError
from scripts.io.atomic import atomic_path, full_suffix, save_torch, write_json, write_text


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("scan.nii.gz", ".nii.gz"),
        ("scan.NII.GZ", ".NII.GZ"),
        ("scan.v1.2.nii", ".nii"),
        ("subject 1.5T ünï.nii.gz", ".nii.gz"),
        ("folder.d/model.pt", ".pt"),
        ("archive.gz", ".gz"),
        ("README", ""),
    ],
)
def test_full_suffix(name, suffix):
    assert full_suffix(name) == suffix


def test_success_leaves_only_the_final_file(tmp_path):
    final = tmp_path / "new" / "folder" / "map.nii.gz"
    with atomic_path(final) as temporary:
        assert temporary.parent == final.parent
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"whole")
        assert not final.exists()
    assert os.listdir(final.parent) == ["map.nii.gz"]
    assert final.read_bytes() == b"whole"


def test_failure_in_the_block_keeps_the_old_file(tmp_path):
    final = tmp_path / "scores.csv"
    write_text(final, "old")

    def write_half():
        with atomic_path(final) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert os.listdir(tmp_path) == ["scores.csv"]
    assert final.read_text() == "old"


def test_two_writers_of_one_name_do_not_clash(tmp_path):
    final = tmp_path / "map.nii"
    with atomic_path(final) as first, atomic_path(final) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert final.read_text() == "first"
    assert os.listdir(tmp_path) == ["map.nii"]


def _write_often(final: Path) -> None:
    for _ in range(50):
        write_text(final, str(os.getpid()) * 1000)


@pytest.mark.case(51)
def test_two_processes_writing_one_name_never_show_a_partial_file(tmp_path):
    final = tmp_path / "scores.csv"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_often, args=(final,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    whole = {str(writer.pid) * 1000 for writer in writers}
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if final.exists():
            seen.add(final.read_text())
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen | {final.read_text()} <= whole
    assert os.listdir(tmp_path) == ["scores.csv"]


@pytest.mark.case(48)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_full_or_read_only_disk_is_a_resource_error_naming_the_file(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ResourceError, match=r"scores\.csv.*choose another folder"):
        write_text(tmp_path / "scores.csv", "text")
    assert os.listdir(tmp_path) == []


def test_full_disk_under_torch_save_is_a_resource_error(tmp_path):
    def save_to_full_disk():
        with atomic_path(tmp_path / "model.pt") as temporary:
            temporary.symlink_to("/dev/full")
            with temporary.open("wb") as file:
                torch.save({"weight": torch.zeros(100_000)}, file)

    with pytest.raises(ResourceError, match=r"model\.pt.*No space left"):
        save_to_full_disk()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_an_input_error(tmp_path):
    write_text(tmp_path / "occupied", "text")
    with pytest.raises(InputError, match="occupied"):
        write_text(tmp_path / "occupied" / "scores.csv", "text")
    with pytest.raises(InputError, match=tmp_path.name):
        write_text(tmp_path, "text")
    assert os.listdir(tmp_path) == ["occupied"]


def test_a_folder_that_cannot_be_made_is_an_input_error():
    with pytest.raises(InputError, match="/proc/none/result.json: expected a path for a new file"):
        write_text("/proc/none/result.json", "text")


def test_an_error_about_another_file_is_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_path(tmp_path / "map.nii"):
        (tmp_path / "elsewhere").read_bytes()
    with pytest.raises(RuntimeError, match="unrelated"), atomic_path(tmp_path / "map.nii"):
        raise RuntimeError("unrelated")


def test_json_keeps_order_and_takes_numpy_and_paths(tmp_path):
    data = {"z": np.float32(0.5), "a": [np.int64(3), None, True], "ü": np.arange(2), "p": Path("x")}
    path = write_json(tmp_path / "result.json", data)
    text = path.read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["z", "a", "ü", "p"]
    assert json.loads(text) == {"z": 0.5, "a": [3, None, True], "ü": [0, 1], "p": "x"}
    assert text.startswith('{\n  "z": 0.5')


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float32("nan"), np.array([0.0, np.inf])])
def test_json_refuses_what_is_not_finite_and_names_the_place(tmp_path, bad):
    with pytest.raises(ModelError, match=r"result\.json.*slices\.1\.score"):
        write_json(tmp_path / "result.json", {"slices": [{"score": 1.0}, {"score": bad}]})
    assert os.listdir(tmp_path) == []


def test_json_refuses_objects_it_does_not_know(tmp_path):
    with pytest.raises(TypeError, match="object"):
        write_json(tmp_path / "result.json", {"a": object()})


def test_save_torch_round_trip(tmp_path):
    state = {"weight": torch.arange(6.0).reshape(2, 3)}
    path = save_torch(tmp_path / "models" / "model.pt", state)
    assert torch.equal(torch.load(path, weights_only=True)["weight"], state["weight"])
    assert os.listdir(path.parent) == ["model.pt"]
