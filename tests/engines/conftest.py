"""A training as the command line starts it, in this process and small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from scripts import BUNDLE_ROOT

TINY = {
    "epochs": 3,
    "batch_size": 8,
    "split_fractions": [0.25, 0.25, 0.5],
    "split_seed": 2,
    "widths": [8, 8],
    "heads": 2,
    "samples": 2,
    "val_interval": 1,
}
"""Overrides that make an epoch take a fraction of a second."""

TINY_VAE = {name: TINY[name] for name in ("epochs", "batch_size", "split_fractions", "split_seed")} | {
    "beta_epochs": 2,
    "latent_size": 8,
    "heads": 2,
    "key_grid": 4,
    "encoder_attention": [4],
    "decoder_attention": [1],
    "dropout": 0.2,
    "network_def#channels": [8, 8, 16, 16],
    "samples": 2,
}
"""The same for the Bayesian VAE; dropout is on to draw random numbers."""


@pytest.fixture(scope="session")
def start_training(
    tiny_cohort: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., ConfigWorkflow]:
    """Return a function from an output folder, override files and overrides to an initialised workflow."""
    cache = tmp_path_factory.mktemp("slices")

    def start(output_dir: Path, *more_files: str, **overrides: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            [str(BUNDLE_ROOT / "configs" / name) for name in ("train.yaml", *more_files)],
            workflow_type="train",
            run_id="training",
            logging_file=False,
            cache_dir=str(cache),
            output_dir=str(output_dir),
            **{"dataset_dir": str(tiny_cohort)}
            | (TINY_VAE if "bayesian_vae.yaml" in more_files else TINY)
            | overrides,
        )
        workflow.initialize()
        return workflow

    return start
