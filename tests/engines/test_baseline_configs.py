"""Trained baselines, as their configs start them: what is fixed stays so through a whole training."""

from __future__ import annotations

import json

import pytest
import torch

from scripts.errors import find_bundle_error
from scripts.evaluation.calibration import Calibration
from scripts.networks.fixed_variance import PIXEL_LOG_VARIANCE


@pytest.mark.parametrize(
    ("name", "latent", "pixels", "score"),
    [
        ("baseline_vae.yaml", False, True, "squared_error"),
        ("baseline_autoencoder.yaml", True, True, "squared_error"),
        ("baseline_aeu.yaml", True, False, "uncertainty_weighted"),
    ],
)
def test_training_leaves_what_is_fixed_and_calibrates_its_own_score(
    start_training, tmp_path, name, latent, pixels, score
) -> None:
    samples = 1 if latent else 2
    workflow = start_training(tmp_path, "bayesian_vae.yaml", name, epochs=2, dropout=0.0, samples=samples)
    workflow.run()
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert bool((weights["to_latent_log_variance.weight"] == 0).all()) == latent
    assert bool((weights["log_variance_head.weight"] == 0).all()) == pixels
    if pixels:
        assert (weights["log_variance_head.bias"] == PIXEL_LOG_VARIANCE).all()
    calibration = Calibration.from_json(json.loads((tmp_path / "calibration.json").read_text()))
    assert (calibration.score, calibration.samples) == (score, samples)
    beta = workflow.parser.get_parsed_content("train#trainer").state.metrics["beta"]
    assert (beta == 0) == latent


def test_a_run_is_not_continued_as_another_network_of_the_same_shapes(start_training, tmp_path) -> None:
    start_training(tmp_path, "bayesian_vae.yaml", "baseline_vae.yaml", epochs=1).run()
    with pytest.raises(RuntimeError) as error:
        start_training(tmp_path, "bayesian_vae.yaml", epochs=1).run()
    assert "fixed_latent=unset, found one with fixed_latent=False" in str(find_bundle_error(error.value))
