import numpy as np
import pytest
import torch
from small_networks import small_images, small_mapper, small_vae

from scripts.errors import InputError
from scripts.networks.bayesian_vae import BayesianVAE
from scripts.uncertainty.latent_noise import latent_noise
from scripts.uncertainty.mapper import VAEMapper
from scripts.uncertainty.mappers import mapper_of
from scripts.uncertainty.maps import CHANNEL, MapName, quantity_of
from scripts.uncertainty.scores import RECONSTRUCTION_SCORES


def slow_maps(vae, image, noise, score="uncertainty_weighted"):
    """K full passes of one slice (1, C, H, W), and numpy from there."""
    passes = [vae(image, draw[None]) for draw in noise]
    means = np.stack([one[0][0].detach().double().numpy() for one in passes])
    variances = np.stack([np.exp(one[1][0].detach().double().numpy()) for one in passes])
    x = image[0].double().numpy()
    mean, epistemic, aleatoric = means.mean(0), means.var(0), variances.mean(0)
    total, error = epistemic + aleatoric, (x - mean) ** 2
    anomaly = {
        "uncertainty_weighted": error / (total + 1e-8),
        "squared_error": error,
        "nll": 0.5 * (np.log(total + 1e-8) + error / (total + 1e-8)),
        "product": error * total,
    }[score]
    maps = [one.mean(0) for one in (total, anomaly, epistemic, aleatoric)]
    return np.stack([*maps, *mean]) * (x.max(0) > 0)


@pytest.mark.parametrize("score", [score.value for score in RECONSTRUCTION_SCORES])
@pytest.mark.parametrize("channels", [1, 4])
def test_equals_k_full_passes_slice_by_slice(channels, score):
    vae, mapper = small_vae(in_channels=channels), small_mapper(in_channels=channels, score=score)
    images = small_images(3, channels)
    pred = mapper(images).detach()
    assert pred.shape == (3, 4 + channels, 32, 32)
    for index in range(3):
        expected = slow_maps(vae, images[index : index + 1], latent_noise(5, 6), score)
        np.testing.assert_allclose(pred[index], expected, rtol=1e-3, atol=1e-5)


def test_every_map_says_something():
    pred = small_mapper()(small_images())
    for channel in range(5):
        values = pred[:, channel][small_images()[:, 0] > 0]
        assert values.std() > 1e-6, list(MapName)[channel]
    assert (pred[:, :1] == pred[:, 2:3] + pred[:, 3:4]).all()


def test_channels_are_named_once():
    assert tuple(CHANNEL) == tuple(MapName)
    assert CHANNEL[MapName.ANOMALY] == 1


def test_background_is_zero_in_every_map():
    images = small_images(2, channels=2)
    images[0, 1, 16, 16] = 0
    pred = small_mapper(in_channels=2)(images)
    outside = (images == 0).all(dim=1)
    assert outside.any()
    assert (pred.permute(0, 2, 3, 1)[outside] == 0).all()
    assert (pred[:, 0][~outside] > 0).all()


def test_maps_of_the_whole_image_go_on_into_the_background():
    images = small_images()
    head, whole = small_mapper()(images), small_mapper(region="image")(images)
    inside = (images > 0).expand_as(head)
    assert torch.equal(whole[inside], head[inside])
    assert (whole[:, 0] > 0).all()
    torch.testing.assert_close(
        whole[:, 1:2], (images - whole[:, 4:]).square() / (whole[:, :1] + 1e-8), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("key_grid", [None, 8])
def test_state_dict_is_the_networks_own(key_grid):
    vae, mapper = BayesianVAE(key_grid=key_grid), VAEMapper(key_grid=key_grid)
    assert list(vae.state_dict()) == list(mapper.state_dict())
    mapper.load_state_dict(vae.state_dict(), strict=True)
    vae.load_state_dict(VAEMapper(key_grid=key_grid).state_dict(), strict=True)


@pytest.mark.parametrize("noise", ["normal", "antithetic", "sobol"])
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_draws_change_without_touching_the_weights(samples, noise):
    mapper = small_mapper(samples=samples, seed=3, noise=noise)
    mapper.load_state_dict(small_mapper().state_dict(), strict=True)
    assert torch.equal(mapper.latent_draws, latent_noise(samples, 6, 3, noise))
    assert "latent_draws" not in mapper.state_dict()
    images = small_images()
    pred = mapper(images).detach()
    expected = slow_maps(small_vae(), images[:1], latent_noise(samples, 6, 3, noise))
    np.testing.assert_allclose(pred[0], expected, rtol=1e-3, atol=1e-5)


def test_one_draw_has_no_epistemic_map():
    pred = small_mapper(samples=1)(small_images())
    assert (pred[:, 2] == 0).all()
    assert torch.equal(pred[:, 0], pred[:, 3])


@pytest.mark.parametrize(("epistemic", "aleatoric"), [(True, False), (False, True), (False, False)])
def test_parts_of_the_total_are_switches(epistemic, aleatoric):
    images = small_images()
    full = small_mapper()(images)
    pred = small_mapper(use_epistemic=epistemic, use_aleatoric=aleatoric)(images)
    torch.testing.assert_close(pred[:, 0], epistemic * full[:, 2] + aleatoric * full[:, 3])
    assert torch.equal(pred[:, 2:], full[:, 2:])
    assert not torch.allclose(pred[:, 1], full[:, 1])


@pytest.mark.parametrize(("deviation", "region"), [(-1.0, "foreground"), (6.0, "image")])
def test_smoothing_is_of_0_mm_or_more_and_of_the_foreground(deviation, region):
    with pytest.raises(InputError, match="slice_smoothing of 0 mm or more, and of 0 where the whole image"):
        small_mapper(slice_smoothing=deviation, region=region)


def test_unknown_words_are_refused():
    with pytest.raises(InputError, match="squared_error, nll, product, lesion, got 'mse'"):
        small_mapper(score="mse")
    with pytest.raises(InputError, match="got 'gauss'"):
        small_mapper(noise="gauss")
    with pytest.raises(InputError, match="pooling out of mean, peak, got 'max'"):
        small_mapper(pooling="max")


def test_a_vae_has_no_opinion_of_lesions():
    with pytest.raises(InputError, match="nll, product, got lesion"):
        small_mapper(score="lesion")


def test_same_images_same_maps_whatever_the_global_seed():
    images = small_images()
    torch.manual_seed(1)
    first = small_mapper()(images)
    torch.manual_seed(2)
    assert torch.equal(small_mapper()(images), first)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batch_size_and_order_do_not_matter(batch):
    mapper, images = small_mapper(), small_images(5)
    whole = mapper(images)
    parts = torch.cat([mapper(part) for part in images.split(batch)])
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(mapper(images[order]), whole[order], rtol=1e-4, atol=1e-5)


def test_memory_format_does_not_matter():
    mapper, images = small_mapper(), small_images()
    expected = mapper(images)
    mapper = mapper.to(memory_format=torch.channels_last)
    output = mapper(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_draws_move_with_the_network():
    assert small_mapper().to("meta").latent_draws.device.type == "meta"
    assert torch.equal(small_mapper().double().latent_draws, latent_noise(5, 6).double())


def test_bfloat16_is_near():
    mapper, images = small_mapper(), small_images()
    expected = mapper(images)
    with torch.autocast("cpu", torch.bfloat16):
        pred = mapper(images)
    assert pred.dtype is torch.float32
    for channel in (0, 1, 3, 4):
        difference = (pred - expected)[:, channel].square().mean().sqrt()
        assert difference < 0.05 * expected[:, channel].square().mean().sqrt(), list(MapName)[channel]


def test_mapper_of_follows_the_training_of_its_network():
    vae = small_vae()
    mapper = mapper_of(vae, samples=3, seed=2, noise="antithetic", score="nll")
    assert torch.equal(mapper.latent_draws, latent_noise(3, 6, 2, "antithetic"))
    assert mapper.score == "nll"
    own, shared = dict(mapper.named_parameters()), dict(vae.named_parameters())
    assert own.keys() == shared.keys()
    assert all(own[name] is shared[name] for name in own)
    before = mapper(small_images())
    with torch.no_grad():
        vae.mean_head.bias += 0.25
    expected = (before[:, 4] + 0.25) * (small_images()[:, 0] > 0)
    torch.testing.assert_close(mapper(small_images())[:, 4], expected)


def test_mapper_of_keeps_the_architecture():
    vae = small_vae(key_grid=None, heads=4, in_channels=2, log_variance_range=(-3.0, 3.0))
    mapper = mapper_of(vae)
    assert mapper.arguments == vae.arguments
    images = small_images(2, channels=2)
    expected = slow_maps(vae, images[:1], latent_noise(5, 6))
    np.testing.assert_allclose(mapper(images)[0].detach(), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("left_out", ["epistemic", "aleatoric"])
def test_a_total_without_one_variance_is_another_score(left_out):
    vae, images = small_vae(), small_images()
    kept = mapper_of(vae, samples=3)
    ablated = mapper_of(vae, samples=3, **{f"use_{left_out}": False})
    whole, less = kept(images).detach(), ablated(images).detach()
    other = 3 if left_out == "epistemic" else 2
    assert torch.equal(less[:, 0], whole[:, other])
    assert torch.equal(less[:, 2:], whole[:, 2:])
    assert ablated.settings()["score"] == f"{kept.settings()['score']}, without {left_out}"


def test_maps_have_the_units_of_their_score():
    units = {name.value: quantity_of(name, "lesion").unit for name in MapName}
    assert units["anomaly"] == "probability"
    assert units["epistemic"] == units["aleatoric"] == units["total_uncertainty"] == "probability²"
    assert quantity_of("epistemic", "nll").unit == "normalised intensity²"
    assert units["reconstruction"] == quantity_of("reconstruction", "nll").unit == "intensity of the scan"
