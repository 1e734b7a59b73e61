"""The one command that replaces shipped weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from scripts.io.digest import file_sha256
from tests.bundle.commands import Ended, WarmCommands


@pytest.fixture(scope="module")
def promoted(
    commands: WarmCommands,
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[str]]:
    models = tmp_path_factory.mktemp("promoted")
    options = [
        "run",
        "promote",
        "--config_file=['configs/train.yaml','configs/promote.yaml']",
        f"--output_dir={tiny_run[0]}",
        f"--model_dir={models}",
        *tiny_options,
    ]
    commands.run(*options).check()
    return models, options


def test_weights_are_those_of_the_run_in_half_precision(
    promoted: tuple[Path, list[str]], tiny_run: tuple[Path, Ended]
) -> None:
    shipped = torch.load(promoted[0] / "model.pt", weights_only=True)
    trained = torch.load(tiny_run[0] / "model.pt", weights_only=True)
    assert shipped.keys() == trained.keys()
    for name, value in trained.items():
        expected = value.half() if value.is_floating_point() else value
        assert torch.equal(shipped[name], expected), name


def test_calibration_and_provenance_belong_to_the_file(promoted: tuple[Path, list[str]]) -> None:
    digest = file_sha256(promoted[0] / "model.pt")
    calibration = json.loads((promoted[0] / "calibration.json").read_text())
    provenance = json.loads((promoted[0] / "provenance.json").read_text())
    assert calibration["weights_sha256"] == provenance["weights_sha256"] == digest
    assert provenance["network"]["widths"] == [8, 16]
    assert provenance["training_slices"] > 0
    assert 0 < provenance["known_answer"]["anomaly"] < 1
    assert "research" in provenance["terms"]


def test_a_promotion_that_fails_leaves_everything_as_it_was(
    promoted: tuple[Path, list[str]], commands: WarmCommands
) -> None:
    models, options = promoted
    before = {path.name: file_sha256(path) for path in models.iterdir()}
    failed = commands.run(*options, "--replace=true", "--run#1#calibration#pixel_quantile=99")
    assert failed.code == 2
    assert "strictly between 0 and 1, got 99" in failed.error
    assert {path.name: file_sha256(path) for path in models.iterdir()} == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--seed=7", "expected a run trained with seed 7, found one with 0"),
        ("--learning_rate=0.5", "expected a run trained with learning_rate 0.5"),
        ("--split_file=none.json", "Expected the split that the weights were trained with in 'none.json'"),
    ],
)
def test_a_run_is_not_shipped_under_other_settings_or_without_its_split(
    promoted: tuple[Path, list[str]], commands: WarmCommands, given: str, words: str
) -> None:
    models, options = promoted
    before = file_sha256(models / "provenance.json")
    refused = commands.run(*options, "--replace=true", given)
    assert refused.code == 2
    assert words in refused.error
    assert file_sha256(models / "provenance.json") == before


def test_a_run_on_scans_that_were_read_otherwise_is_not_shipped(
    promoted: tuple[Path, list[str]], commands: WarmCommands, tiny_run: tuple[Path, Ended], tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run[0], tmp_path / "run"))
    state = torch.load(run / "resume.pt", weights_only=True)
    rules = {"rules": {"brain_mask": "apply"}}
    torch.save(state | {"fingerprint": state["fingerprint"] | rules}, run / "resume.pt")
    refused = commands.run(*promoted[1], "--replace=true", f"--output_dir={run}")
    assert refused.code == 2
    assert "found one with {'brain_mask': 'apply'}" in refused.error


def test_weights_are_replaced_only_when_told(
    promoted: tuple[Path, list[str]], commands: WarmCommands
) -> None:
    models, options = promoted
    before = file_sha256(models / "model.pt")
    refused = commands.run(*options)
    assert refused.code == 2
    assert "--replace true" in refused.error
    assert file_sha256(models / "model.pt") == before
    commands.run(*options, "--replace", "true").check()
