from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundle.commands import Ended, WarmCommands
from tests.inference_route import make_model

TINY_TRAINING = (
    "--epochs=1",
    "--batch_size=8",
    "--widths=[8,16]",
    "--heads=2",
    "--samples=2",
    "--split_fractions=[0.25,0.25,0.5]",
)
"""A training of a second or two; the network is that of :mod:`tests.inference_route`."""

TINY_NETWORK = TINY_TRAINING[2:-1]


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommands]:
    """The command line without the wait for MONAI's import."""
    with WarmCommands(tmp_path_factory.mktemp("commands")) as commands:
        yield commands


@pytest.fixture(scope="session")
def tiny_options(tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of a tiny training, but for its output folder."""
    return (*TINY_TRAINING, f"--dataset_dir={tiny_cohort}", f"--cache_dir={tmp_path_factory.mktemp('cache')}")


@pytest.fixture(scope="session")
def tiny_run(
    commands: WarmCommands, tiny_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Ended]:
    """The output folder of a training from the bundle root with the plain command, and how it ended.

    It is tracked with MLflow; ``sockets.txt`` beside the folder lists the addresses it asked for.
    """
    folder = tmp_path_factory.mktemp("training")
    sockets = folder / "sockets.txt"
    sockets.touch()
    options = ("--config_file", "configs/train.yaml", "--tracking", "mlflow", *tiny_options)
    ended = commands.run("run", "training", *options, f"--output_dir={folder / 'run'}", sockets=sockets)
    return folder / "run", ended.check()


@pytest.fixture(scope="session")
def evaluated(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...]
) -> tuple[Path, Ended]:
    """The output folder of an evaluation of that training, and how it ended."""
    configs = "['configs/train.yaml','configs/evaluate.yaml']"
    options = ("--config_file", configs, f"--output_dir={tiny_run[0]}", *tiny_options)
    ended = commands.run("run", "evaluating", *options, "--bootstrap_samples=20", "--configuration=tiny")
    return tiny_run[0] / "evaluation", ended.check()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights of the tiny network, and thresholds that fit them."""
    return make_model(tmp_path_factory.mktemp("random") / "model")
