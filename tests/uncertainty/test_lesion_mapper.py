"""Maps of the lesion U-Net against K slow passes, and the same in every runtime and batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import open_onnx, small_images, small_lesion_mapper, small_lesion_unet

from scripts.uncertainty.decomposition import decompose_bernoulli
from scripts.uncertainty.latent_noise import latent_noise
from scripts.uncertainty.mappers import mapper_of


def slow_maps(image: torch.Tensor, samples: int) -> np.ndarray:
    """K full passes of one slice (1, C, H, W), and numpy from there."""
    network = small_lesion_unet(in_channels=image.shape[1])
    with torch.no_grad():
        passes = [network(image, draw[None]) for draw in latent_noise(samples, network.latent_size)]
    p = np.stack([1 / (1 + np.exp(-one[2][0].double().numpy())) for one in passes])
    mean = np.stack([one[0][0].double().numpy() for one in passes]).mean(0)
    epistemic, aleatoric = p.var(0), (p * (1 - p)).mean(0)
    maps = [*(epistemic + aleatoric), *p.mean(0), *epistemic, *aleatoric, *mean]
    return np.stack(maps) * (image[0].numpy().max(0) > 0)


@pytest.mark.parametrize("channels", [1, 2])
def test_equals_k_full_passes_slice_by_slice(channels: int) -> None:
    images = small_images(3, channels)
    pred = small_lesion_mapper(in_channels=channels)(images).detach()
    assert pred.shape == (3, 4 + channels, 32, 32)
    for index in range(3):
        expected = slow_maps(images[index : index + 1], 5)
        np.testing.assert_allclose(pred[index], expected, rtol=1e-4, atol=1e-5)


def test_the_two_parts_are_the_variance_of_a_yes_or_no() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(7, 2, 1, 4, 4, generator=generator, dtype=torch.float64)
    mean, epistemic, aleatoric = decompose_bernoulli(p)
    torch.testing.assert_close(epistemic + aleatoric, mean * (1 - mean))
    torch.testing.assert_close(epistemic, p.var(dim=0, unbiased=False))
    # Draws that are sure of themselves and disagree leave nothing but epistemic variance.
    _, epistemic, aleatoric = decompose_bernoulli((p > 0.5).double())
    assert not aleatoric.any()
    assert epistemic.max() > 0.1


def test_settings_hold_the_strength_of_the_draws_and_make_the_same_mapper_again() -> None:
    mapper = small_lesion_mapper(noise="sobol", drop_rate=0.25)
    assert mapper.settings()["noise"] == "sobol, drop_rate 0.25"
    again = small_lesion_mapper(**mapper.scoring_arguments(mapper.settings()), drop_rate=0.25)
    assert torch.equal(again.latent_draws, mapper.latent_draws)
    assert again.settings() == mapper.settings()


def test_every_map_says_something_and_the_background_nothing() -> None:
    images = small_images()
    pred = small_lesion_mapper()(images)
    inside = (images > 0).expand_as(pred)
    assert not pred[~inside].any()
    for channel in range(5):
        assert pred[:, channel][images[:, 0] > 0].std() > 1e-6, channel
    assert pred[:, 1].min() >= 0
    assert pred[:, 1].max() <= 1


def test_scores_of_the_reconstruction_are_to_be_had_too() -> None:
    images = small_images()
    pred = small_lesion_mapper(score="squared_error")(images)
    expected = (images - pred[:, 4:]).square() * (images > 0)
    torch.testing.assert_close(pred[:, 1:2], expected)


def test_batch_changes_nothing() -> None:
    mapper, images = small_lesion_mapper(), small_images(4)
    together = mapper(images)
    for index in range(4):
        torch.testing.assert_close(
            mapper(images[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-6
        )


def test_mapper_follows_the_training() -> None:
    network, images = small_lesion_unet(), small_images()
    mapper = mapper_of(network, score="lesion").eval()
    before = mapper(images)
    torch.testing.assert_close(before, small_lesion_mapper()(images))
    with torch.no_grad():
        network.heads.bias += 1
    assert (mapper(images)[:, 1] >= before[:, 1]).all()
    assert mapper.state_dict().keys() == network.state_dict().keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("score", ["lesion", "nll"])
def test_torchscript_and_onnx_give_the_same_maps(score: str) -> None:
    mapper = small_lesion_mapper(score=score)
    scripted, session = torch.jit.script(mapper), open_onnx(mapper, small_images(2))
    for batch in (1, 3):
        images = small_images(batch)
        expected = mapper(images).detach()
        torch.testing.assert_close(scripted(images).detach(), expected, rtol=1e-4, atol=1e-5)
        found = session.run(None, {"image": images.numpy()})[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
