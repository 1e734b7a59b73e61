from __future__ import annotations

import pytest
import torch

from scripts.networks.bayesian_vae import BayesianVAE
from scripts.networks.fixed_variance import PIXEL_LOG_VARIANCE, FixedVarianceVAE
from scripts.uncertainty.mappers import mapper_of
from tests.small_networks import SMALL, small_images

IMAGES = small_images(4)


def train(network: BayesianVAE, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), 0.01, weight_decay=0.1)
    for step in range(steps):
        noise = torch.randn(4, network.latent_size, generator=torch.Generator().manual_seed(step))
        mean, log_variance, *_ = network(IMAGES, noise)
        optimizer.zero_grad()
        ((IMAGES - mean).square() * torch.exp(-log_variance) + log_variance).mean().backward()
        optimizer.step()


@pytest.mark.parametrize(("latent", "pixels"), [(True, True), (True, False), (False, True)])
def test_what_is_fixed_stays_fixed_in_training_and_the_rest_learns(latent, pixels) -> None:
    torch.manual_seed(0)
    network = FixedVarianceVAE(latent, pixels, **SMALL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    train(network)
    changed = {
        name.split(".")[0]
        for name, value in network.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert ("to_latent_log_variance" in changed) == (not latent)
    assert ("log_variance_head" in changed) == (not pixels)
    assert {"encoder", "decoder", "mean_head", "to_latent_mean"} <= changed
    _, log_variance, _, latent_log_variance = network(IMAGES, torch.zeros(4, 6))
    assert (log_variance == PIXEL_LOG_VARIANCE).all() == pixels
    assert (latent_log_variance == -20).all() == latent


def test_a_fixed_latent_draws_the_same_image_and_pixels_have_one_variance() -> None:
    network = FixedVarianceVAE(True, True, **SMALL).eval()
    with torch.no_grad():
        pred = mapper_of(network, samples=4)(IMAGES)
    inside = IMAGES[:, 0] > 0
    assert pred[:, 2].max() < 1e-6  # epistemic
    torch.testing.assert_close(pred[:, 3][inside], torch.full((int(inside.sum()),), torch.e**-4.0))


def test_weights_are_those_of_a_bayesian_vae() -> None:
    network, plain = FixedVarianceVAE(True, True, **SMALL).eval(), BayesianVAE(**SMALL).eval()
    plain.load_state_dict(network.state_dict(), strict=True)
    noise = torch.ones(4, 6)
    with torch.no_grad():
        for one, other in zip(network(IMAGES, noise), plain(IMAGES, noise), strict=True):
            assert torch.equal(one, other)
