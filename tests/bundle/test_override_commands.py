"""What happens to keys and values given on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.uncertainty.mapper import VAEMapper
from tests.bundle.commands import WarmCommands, finish, start_plain
from tests.bundle.conftest import TINY_NETWORK

TRAINING = ("run", "training", "--config_file", "configs/train.yaml")
INFERENCE = ("run", "inference", "--config_file", "configs/inference.json")


def test_misspelt_key_ends_in_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    ended = finish(start_plain(*TRAINING, "--epoch", "3", f"--output_dir={tmp_path / 'run'}"))
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert ended.error == (
        "error: Expected a key of the config, got --epoch, which nothing reads; did you mean --epochs?"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--train#dataloader#batchsize 4", "did you mean --train#dataloader#batch_size?"),
        ("--network_def#drop_ratee 0.1", "did you mean --network_def#drop_rate?"),
        ("--epochs many", "Expected a whole number for --epochs, got 'many'; the config has 200."),
        ("--score entropy", "Expected a score out of uncertainty_weighted, squared_error"),
    ],
)
def test_wrong_keys_and_values_are_refused(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path: Path, arguments: str, sentence: str
) -> None:
    # The last of two equal options counts.
    ended = commands.run(*TRAINING, *tiny_options, f"--output_dir={tmp_path}", *arguments.split())
    assert ended.code == 2
    assert ended.error.startswith("error: ")
    assert sentence in ended.error
    assert not (tmp_path / "model.pt").exists()


def test_words_and_nested_keys_are_read(
    commands: WarmCommands, random_model: Path, tiny_cohort: Path, tmp_path: Path
) -> None:
    options = (*INFERENCE, *TINY_NETWORK, f"--model_dir={random_model}", f"--output_dir={tmp_path}")
    scans = ("--scans#dataset_dir", str(tiny_cohort / "Phantom_001"))
    for word in ("true", "false"):
        commands.run(*options, *scans, "--amp", word, "--overwrite", "true", pictures=False).check()
        # The nested key decided which scans were read, not the default --dataset_dir.
        (file,) = tmp_path.glob("*/*_result.json")
        assert json.loads(file.read_text())["settings"]["amp"] is (word == "true")


@pytest.mark.parametrize("word", ["null", "None"])
def test_null_reaches_the_network(commands: WarmCommands, tmp_path: Path, word: str) -> None:
    torch.save(VAEMapper(latent_size=16, heads=2, key_grid=8).state_dict(), tmp_path / "model.pt")
    configs = "['configs/inference.json','configs/inference_bayesian_vae.yaml']"
    options = (f"--model_dir={tmp_path}", f"--output_dir={tmp_path}", "--latent_size=16", "--heads=2")
    ended = commands.run("run", "inference", "--config_file", configs, *options, "--key_grid", word)
    # The weights are those of key_grid 8: full attention (0) is another network.
    assert ended.code == 5
    assert "expected (format, heads, key_grid) [1, 2, 0], got [1, 2, 8]" in ended.error
