"""The lesion U-Net: shapes, where its randomness acts, what it refuses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_networks import small_images, small_lesion_unet

from scripts.errors import InputError
from scripts.networks.lesion_unet import LesionUNet


@pytest.mark.parametrize("channels", [1, 3])
def test_heads_have_the_shape_of_the_image(channels: int) -> None:
    network, images = small_lesion_unet(in_channels=channels), small_images(2, channels)
    mean, log_variance, lesion = network(images, torch.randn(2, network.latent_size))
    assert mean.shape == log_variance.shape == images.shape
    assert lesion.shape == (2, 1, 32, 32)


def test_every_value_of_the_noise_moves_every_head() -> None:
    network, images = small_lesion_unet(), small_images(1)
    base = network(images, torch.zeros(1, network.latent_size))
    for place in range(network.latent_size):
        noise = torch.zeros(1, network.latent_size)
        noise[0, place] = 3.0
        for one, other in zip(network(images, noise), base, strict=True):
            assert not torch.equal(one, other), place


def test_without_dropout_no_draw_changes_anything() -> None:
    network, images = small_lesion_unet(drop_rate=0.0), small_images(2)
    noise = torch.randn(2, network.latent_size)
    for one, other in zip(network(images, noise), network(images, 0 * noise), strict=True):
        assert torch.equal(one, other)


def test_noise_multiplies_features_by_one_on_average_with_the_deviation_of_dropout() -> None:
    network = small_lesion_unet(drop_rate=0.2)
    assert network.noise_deviation == pytest.approx((0.2 / 0.8) ** 0.5)
    assert network.latent_size == sum(network.widths)


def test_attention_lets_one_side_see_the_other() -> None:
    images = small_images(1)
    changed = images.clone()
    changed[:, :, 20:24, 4:8] *= 0.2
    for heads, sees in ((2, True), (0, False)):
        network = small_lesion_unet(widths=(8,), heads=heads)
        noise = torch.zeros(1, network.latent_size)
        # Group norm looks at whole maps: take it out, so that only attention reaches far.
        for scale in (*network.down, *network.up):
            for index, layer in enumerate(scale):
                if isinstance(layer, torch.nn.GroupNorm):
                    scale[index] = torch.nn.Identity()
        if heads:
            network.attention.norm = torch.nn.Identity()
        lesion = [network(one, noise)[2][0, 0, :8, 24:] for one in (images, changed)]
        assert torch.equal(*lesion) is not sees


def test_describe_is_one_vector_a_slice_and_knows_them_apart() -> None:
    network, images = small_lesion_unet(), small_images(3)
    features = network.describe(images)
    assert features.shape == (3, network.widths[-1])
    assert not torch.allclose(features[0], features[1])
    torch.testing.assert_close(network.describe(images[1:2]), features[1:2])


def test_arguments_make_the_same_network_again() -> None:
    network = small_lesion_unet()
    again = LesionUNet(**network.arguments)
    again.load_state_dict(network.state_dict())
    noise = torch.randn(2, network.latent_size)
    for one, other in zip(again.eval()(small_images(2), noise), network(small_images(2), noise), strict=True):
        assert torch.equal(one, other)


def test_weights_of_other_heads_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"expected \(format, heads\) \[1, 4\], got \[1, 2\]"):
        small_lesion_unet(heads=4).load_state_dict(small_lesion_unet(heads=2).state_dict())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"image_size": 30}, "multiple of 4, got 30"),
        ({"drop_rate": 1.0}, "drop_rate from 0 to below 1, got 1.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        small_lesion_unet(**arguments)


def test_the_encoder_sees_the_slice_beside_itself_left_for_right() -> None:
    network, image = small_lesion_unet(), small_images(1)
    seen: list[torch.Tensor] = []
    network.down[0].register_forward_hook(lambda _, given, __: seen.append(F.pixel_shuffle(given[0], 2)))
    network.encode(image)
    assert torch.equal(seen[0], torch.cat((image, image.flip(2)), dim=1))


def test_opposite_draws_differ_and_log_variances_are_clamped() -> None:
    network, images = small_lesion_unet(), small_images(2)
    noise = torch.ones(2, network.latent_size)
    one, other = network(images, noise), network(images, -noise)
    assert not torch.equal(one[2], other[2])
    with torch.no_grad():
        network.heads.bias[8:12] = 1e4
    assert (network(images, noise)[1] == 20).all()
    torch.testing.assert_close(network.describe(images), network.encode(images)[-1].mean(dim=(2, 3)))
