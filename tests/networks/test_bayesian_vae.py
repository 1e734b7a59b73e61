from __future__ import annotations

import pytest
import torch
from monai.networks.blocks import Convolution
from small_networks import SMALL, small_images, small_vae

from scripts.errors import InputError
from scripts.networks.attention import SpatialAttention
from scripts.networks.bayesian_vae import BayesianVAE


def draw(count, latent=6):
    return torch.randn((count, latent), generator=torch.Generator().manual_seed(5))


def attention_after(layers):
    """Return the numbers of the convolutions, from 1, that attention follows."""
    found, number = [], 0
    for layer in layers:
        if isinstance(layer, Convolution):
            number += 1
        if isinstance(layer, SpatialAttention):
            found.append(number)
    return found


@pytest.fixture(scope="module")
def paper():
    return BayesianVAE(key_grid=None).eval()


def test_paper_network(paper):
    assert attention_after(paper.encoder) == [2, 4]
    assert attention_after(paper.decoder) == [1, 3]
    assert [one.conv.out_channels for one in paper.encoder if isinstance(one, Convolution)] == [
        32,
        64,
        128,
        256,
    ]
    assert {
        layer.attention.num_heads for layer in paper.modules() if isinstance(layer, SpatialAttention)
    } == {8}
    # 14 million, most of them in three fully connected layers.
    assert sum(parameter.numel() for parameter in paper.parameters()) == 13_732_338
    linear = (paper.to_latent_mean, paper.to_latent_log_variance, paper.from_latent)
    assert sum(parameter.numel() for layer in linear for parameter in layer.parameters()) == 12_599_808


@pytest.mark.parametrize("channels", [1, 4])
def test_shapes(channels):
    network = BayesianVAE(in_channels=channels).eval()
    sizes = []
    for layer in [*network.encoder, *network.decoder]:
        layer.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        mean, log_variance, *latent = network(
            small_images(2, channels, size=128), torch.zeros(2, network.latent_size)
        )
    assert mean.shape == log_variance.shape == (2, channels, 128, 128)
    assert [one.shape for one in latent] == [(2, 256)] * 2
    assert list(dict.fromkeys(sizes)) == [
        (32, 64, 64),
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (16, 128, 128),
    ]


def test_every_modality_counts():
    network, images = small_vae(in_channels=4), small_images(1, channels=4)
    before = network(images, draw(1))[0]
    for channel in range(4):
        changed = images.clone()
        changed[:, channel] *= 0.5
        assert not torch.allclose(network(changed, draw(1))[0], before, atol=1e-4)


def test_latent_is_mean_plus_deviation_times_noise():
    network, images, noise = small_vae(), small_images(), draw(3)
    mean, log_variance = network.encode(images)
    expected = network.decode(mean + log_variance.exp().sqrt() * noise)
    output = network(images, noise)
    torch.testing.assert_close(output[:2], expected)
    assert torch.equal(output[2], mean)
    assert torch.equal(output[3], log_variance)
    assert not torch.allclose(network(images, torch.zeros(3, 6))[0], output[0], atol=1e-4)


@pytest.mark.parametrize("positions", [[], [1], [2, 3]])
def test_attention_positions_are_switches(positions):
    network = small_vae(encoder_attention=positions, decoder_attention=positions)
    assert attention_after(network.encoder) == attention_after(network.decoder) == positions
    assert network(small_images(), draw(3))[0].shape == (3, 1, 32, 32)


def test_heads_are_a_switch():
    two, four = small_vae(heads=2), small_vae(heads=4)
    parts = four.state_dict() | {"architecture": two.architecture}
    two.load_state_dict(parts)
    assert not torch.allclose(two(small_images(), draw(3))[0], four(small_images(), draw(3))[0], atol=1e-5)


def test_latent_size_is_a_switch():
    network = small_vae(latent_size=9)
    mean, _ = network.encode(small_images())
    assert mean.shape == (3, 9)
    assert network.from_latent.in_features == 9


def test_dropout_is_a_switch():
    network, images = small_vae(dropout=0.5), small_images()
    assert torch.equal(network(images, draw(3))[0], small_vae()(images, draw(3))[0])
    network.train()
    torch.manual_seed(0)
    assert not torch.allclose(network(images, draw(3))[0], network(images, draw(3))[0])
    plain = small_vae().train()
    assert torch.equal(plain(images, draw(3))[0], plain(images, draw(3))[0])


@pytest.mark.parametrize(
    ("norm", "kind"),
    [
        (("group", {"num_groups": 8}), torch.nn.GroupNorm),
        (["group", {"num_groups": 8}], torch.nn.GroupNorm),
        ("batch", torch.nn.BatchNorm2d),
        ("instance", torch.nn.InstanceNorm2d),
    ],
)
def test_norm_is_a_switch(norm, kind):
    layers = [layer for layer in small_vae(norm=norm).encoder if isinstance(layer, Convolution)]
    assert all(isinstance(layer.adn.N, kind) for layer in layers)


def test_no_norm():
    layers = [layer for layer in small_vae(norm=None).encoder if isinstance(layer, Convolution)]
    assert all(not hasattr(layer.adn, "N") for layer in layers)


def test_a_slice_does_not_depend_on_its_batch():
    network, images = small_vae(), small_images(3)
    together = network(images, draw(3))
    alone = [network(images[i : i + 1], draw(3)[i : i + 1]) for i in range(3)]
    for part, parts in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(part, torch.cat(parts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("limits", [(-20.0, 20.0), (-1.0, 2.0)])
def test_log_variances_are_clamped(limits):
    network, images = small_vae(log_variance_range=limits), small_images()
    for bias, limit in ((-1e4, limits[0]), (1e4, limits[1])):
        torch.nn.init.constant_(network.log_variance_head.bias, bias)
        torch.nn.init.constant_(network.to_latent_log_variance.bias, bias)
        _, log_variance, _, latent_log_variance = network(images, torch.zeros(3, 6))
        assert (log_variance == limit).all()
        assert (latent_log_variance == limit).all()


def test_variance_starts_the_same_for_all_pixels():
    network = BayesianVAE(**SMALL).eval()
    _, log_variance, *_ = network(small_images(), draw(3))
    assert (log_variance == -4).all()


def test_gradients_flow_to_every_parameter():
    network = small_vae()
    output = network(small_images(), draw(3))
    generator = torch.Generator().manual_seed(3)
    loss = sum((one * torch.randn(one.shape, generator=generator)).sum() for one in output)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        # A constant added to all keys changes no softmax.
        if not name.endswith("to_k.bias"):
            assert parameter.grad.abs().max() > 0, name


def test_image_size_that_does_not_halve_is_refused():
    with pytest.raises(InputError, match="multiple of 8, got 36"):
        small_vae(image_size=36)


def test_state_dict_fits_any_key_grid_only_by_name():
    shapes = [
        {name: value.shape for name, value in small_vae(key_grid=grid).state_dict().items()}
        for grid in (None, 4)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("other", "given"),
    [({"key_grid": 8}, "[1, 2, 8]"), ({"key_grid": None}, "[1, 2, 0]"), ({"heads": 4}, "[1, 4, 4]")],
)
def test_weights_that_would_load_in_silence_are_refused(other, given):
    network, weights = small_vae(), small_vae(seed=1, **other).state_dict()
    with pytest.raises(RuntimeError, match="another architecture") as error:
        network.load_state_dict(weights)
    assert f"expected (format, heads, key_grid) [1, 2, 4], got {given}" in str(error.value)


def test_weights_of_the_same_architecture_load():
    network, other = small_vae(), small_vae(seed=1)
    network.load_state_dict(other.state_dict(), strict=True)
    images = small_images()
    assert torch.equal(network(images, draw(3))[0], other(images, draw(3))[0])


@pytest.mark.parametrize("change", ["less", "more"])
def test_weights_are_loaded_whole_even_if_asked_for_what_fits(change):
    """As MONAI Label asks: what is missing would stay random."""
    network = small_vae()
    state = dict(network.state_dict())
    if change == "less":
        state.popitem()
    else:
        state["extra"] = torch.zeros(1)
    with pytest.raises(RuntimeError, match="Missing key|Unexpected key"):
        network.load_state_dict(state, strict=False)


def test_a_vae_is_described_by_its_latent_mean() -> None:
    network = small_vae()
    assert torch.equal(network.describe(small_images()), network.encode(small_images())[0])
