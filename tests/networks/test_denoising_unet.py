from __future__ import annotations

import pytest
import torch

from scripts.errors import InputError
from scripts.networks.denoising_unet import DenoisingUNet
from scripts.networks.fixed_variance import PIXEL_LOG_VARIANCE
from scripts.uncertainty.mapper import VAEMapper
from scripts.uncertainty.mappers import mapper_class, mapper_of
from scripts.uncertainty.unet_mapper import UNetMapper
from tests.small_networks import SMALL, small_images

ARGUMENTS = {"image_size": 32, "unet_channels": (8, 8, 8, 8, 8, 8)}


def make_network(channels: int = 1) -> DenoisingUNet:
    torch.manual_seed(0)
    return DenoisingUNet(channels, **ARGUMENTS).eval()


@pytest.mark.parametrize("channels", [1, 2])
def test_output_is_the_unet_of_the_image_whatever_the_draw(channels) -> None:
    network, images = make_network(channels), small_images(3, channels)
    with torch.no_grad():
        mean, log_variance, latent, _ = network(images, torch.randn(3, channels * 32**2))
        torch.testing.assert_close(mean, network.unet(images), rtol=1e-2, atol=1e-3)
    assert torch.equal(latent.reshape(images.shape), images)
    assert (log_variance == PIXEL_LOG_VARIANCE).all()


def test_mapper_follows_the_training_and_holds_the_same_weights() -> None:
    network, images = make_network(), small_images(2)
    mapper = mapper_of(network, samples=2).eval()
    assert mapper.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad():
        network.unet.final_conv.weight += 1
        pred = mapper(images)
        expected = network.unet(images) * (images > 0)
    torch.testing.assert_close(pred[:, 4:], expected, rtol=1e-2, atol=1e-3)
    assert pred.shape == (2, 5, 32, 32)


def test_the_kind_of_mapper_is_told_by_the_arguments() -> None:
    assert mapper_class(make_network().arguments) is UNetMapper
    assert mapper_class(SMALL) is VAEMapper
    assert UNetMapper(samples=1, **make_network().arguments).settings()["samples"] == 1


def test_size_has_to_fit_four_halvings() -> None:
    with pytest.raises(InputError, match="multiple of 16, got 40"):
        DenoisingUNet(image_size=40)
