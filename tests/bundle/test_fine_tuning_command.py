"""A training that starts from the weights of another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.io.digest import file_sha256
from scripts.io.run_folder import own_scans, read_settings
from tests.bundle.commands import Ended, WarmCommands
from tests.bundle.conftest import TINY_TRAINING


def test_training_starts_from_given_weights_and_remembers_them(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "split.json").write_bytes((tiny_run[0] / "split.json").read_bytes())
    initial = tiny_run[0] / "model.pt"
    options = ("--config_file", "configs/train.yaml", *tiny_options, f"--output_dir={tmp_path}", "--seed=1")
    tuned = ("run", "training", *options, f"--initial_weights={initial}", "--learning_rate=1e-9")
    ended = commands.run(*tuned).check()
    assert f"Starting from the weights in {initial}." in ended.out
    # At next to no learning rate: what another seed's random weights would not be near.
    before, after = (torch.load(path, weights_only=True) for path in (initial, tmp_path / "model.pt"))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=1e-4, msg=name)
    seen = own_scans(tiny_run[0])
    assert seen is not None
    assert read_settings(tmp_path)["initial_weights"] == {
        "sha256": file_sha256(initial),
        "patients": sorted(seen.patients),
        "volumes": sorted(seen.volumes),
    }
    # The same run from other weights is another run.
    refused = commands.run("run", "training", *options, "--learning_rate=1e-9")
    assert refused.code == 2
    assert "initial_weights=unset" in refused.error


@pytest.mark.parametrize("changed", [(), ("--run#0=$None",)], ids=["as it is", "without the tracker"])
def test_weights_that_know_a_test_patient_are_refused(
    commands: WarmCommands,
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tmp_path: Path,
    changed: tuple[str, ...],
) -> None:
    """By the split that the training itself makes, whatever asks for the data first."""
    options = (*tiny_options, f"--output_dir={tmp_path}", "--split_seed=1", *changed)
    initial = f"--initial_weights={tiny_run[0] / 'model.pt'}"
    ended = commands.run("run", "training", "--config_file", "configs/train.yaml", *options, initial)
    assert ended.code == 2
    assert "expected weights that have seen no test patient" in ended.error
    assert (tmp_path / "split.json").exists()
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize("tuned", [False, True])
def test_training_on_given_scans_needs_no_data_set(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_cohort: Path, tmp_path: Path, tuned: bool
) -> None:
    """As MONAI Label trains, from random weights and from others."""
    images = sorted(tiny_cohort.rglob("*_t1ce.nii.gz"))
    scans = [{"image": str(path), "label": str(path).replace("_t1ce", "_seg")} for path in images]
    given = {"train#dataset#data": scans[:3], "validate#dataset#data": scans[3:5]}
    given |= {"output_dir": tmp_path / "run", "cache_dir": tmp_path / "cache"}
    if tuned:
        given["initial_weights"] = tiny_run[0] / "model.pt"
    options = [*TINY_TRAINING, *(f"--{name}={value}" for name, value in given.items())]
    ended = commands.run("run", "training", "--config_file", "configs/train.yaml", *options).check()
    assert ("Starting from the weights" in ended.out) == tuned
    assert (tmp_path / "run" / "calibration.json").exists()
    assert not (tmp_path / "cache" / "phantoms").exists()
