from __future__ import annotations

import pytest
import torch
from small_networks import small_images, small_mapper, small_vae
from torch import nn

from scripts.errors import InputError
from scripts.uncertainty.dropout_masks import MaskedDropout, with_dropout_masks
from scripts.uncertainty.mappers import mapper_of

IMAGES = small_images(3)


def masked_mapper(seed=0, samples=4, **arguments):
    return with_dropout_masks(small_mapper(samples=samples, dropout=0.3), seed, **arguments)


def slow_means(latent_draws):
    """Each draw alone, through a decoder whose dropout is multiplied by hand with that draw's mask."""
    mapper = masked_mapper(latent_draws=latent_draws)
    masks = {
        name: layer.masks
        for name, layer in mapper.decoder.named_modules()
        if isinstance(layer, MaskedDropout)
    }
    plain = small_mapper(samples=4, dropout=0.3)
    mean, log_variance = plain.encode(IMAGES)
    means = []
    for draw in range(4):
        hooks = [
            layer.register_forward_hook(lambda _, __, out, mask=masks[name][draw]: out * mask)
            for name, layer in plain.decoder.named_modules()
            if name in masks
        ]
        noise = plain.latent_draws[draw] if latent_draws else torch.zeros(6)
        means.append(plain.decode(mean + torch.exp(0.5 * log_variance) * noise)[0])
        for hook in hooks:
            hook.remove()
    return torch.stack(means)


@pytest.mark.parametrize("latent_draws", [False, True])
@torch.no_grad()
def test_equals_draw_by_draw_decoding_with_the_masks(latent_draws):
    mapper = masked_mapper(latent_draws=latent_draws)
    means = slow_means(latent_draws)
    found = mapper.draw(IMAGES).means
    torch.testing.assert_close(found, means, rtol=1e-4, atol=1e-5)
    epistemic = means.var(dim=0, unbiased=False) * (IMAGES > 0)
    torch.testing.assert_close(mapper(IMAGES)[:, 2:3], epistemic, rtol=1e-3, atol=1e-6)
    assert epistemic.max() > 1e-6


@torch.no_grad()
def test_inference_is_a_function_whatever_the_batch():
    mapper = masked_mapper()
    whole = mapper(IMAGES)
    assert torch.equal(whole, mapper(IMAGES))
    assert torch.equal(whole, masked_mapper()(IMAGES))
    one_by_one = torch.cat([mapper(IMAGES[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(one_by_one, whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole[:, 2], masked_mapper(seed=1)(IMAGES)[:, 2])


def test_about_the_rate_is_dropped_and_the_mean_kept():
    layer = MaskedDropout(0.3, (8, 50, 50), 5, torch.Generator().manual_seed(0)).eval()
    features = layer(torch.ones(10, 8, 50, 50))
    assert (features == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    assert features.mean() == pytest.approx(1, abs=0.01)
    assert torch.equal(features[0], features[1])  # two images of one draw
    assert not torch.equal(features[0], features[2])


def test_training_and_state_dict_are_as_without():
    network = small_vae(dropout=0.3)
    before = list(network.state_dict())
    mapper = with_dropout_masks(mapper_of(network, samples=4))
    assert list(network.state_dict()) == list(mapper.state_dict()) == before
    outputs = []
    for one in (network, small_vae(dropout=0.3)):
        torch.manual_seed(0)
        outputs.append(one.train()(IMAGES, torch.zeros(3, 6))[0])
    assert torch.equal(*outputs)
    masked = [layer for layer in network.modules() if isinstance(layer, MaskedDropout)]
    encoder = [layer for layer in network.encoder.modules() if isinstance(layer, nn.Dropout)]
    assert len(masked) == 5  # three layers and two attentions
    assert encoder
    assert not set(masked) & set(encoder)


def test_thresholds_made_without_masks_do_not_fit():
    plain = small_mapper(dropout=0.3).settings()
    assert masked_mapper().settings()["noise"] == "none, dropout masks 0"
    assert masked_mapper(latent_draws=True).settings()["noise"] != plain["noise"]


def test_a_network_without_dropout_is_refused():
    with pytest.raises(InputError, match="VAE's decoder with dropout .* --dropout 0.1"):
        with_dropout_masks(small_mapper())
