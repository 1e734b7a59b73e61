import torch

from benchmarks.clvae_speed import make_images, make_plain, measure_epochs, measure_members
from scripts.networks.clvae import CLVAE
from scripts.objectives.class_conditional import ClassConditionalLoss


def test_the_plain_network_computes_the_same_loss():
    ours, plain = CLVAE(9), make_plain()
    weights = {name: value for name, value in plain.named_parameters() if not name.startswith("from")}
    layers = [
        *(value for one in ours.encoder for value in (one.convolution.weight, one.bias)),
        ours.hidden.weight,
        ours.hidden.bias,
        ours.to_moments.weight,
        ours.to_moments.bias,
        *(value for one in ours.decoder[:-1] for value in (one.convolution.weight, one.bias)),
        ours.decoder[-1].weight,
        ours.decoder[-1].bias,
    ]
    for value, layer in zip(weights.values(), layers, strict=True):
        value.data = layer.data
    plain.from_latent.load_state_dict(ours.from_latent.state_dict())
    image, labels, noise = torch.rand(4, 1, 28, 28), torch.tensor([0, 8, 3, 3]), torch.randn(4, 2)
    expected = ClassConditionalLoss()(ours, ours(image, noise), image, labels).mean()
    torch.testing.assert_close(plain(image, labels, noise), expected)


def test_epochs_and_members_are_measured_with_their_ratios():
    figures = measure_epochs(count=256, repeats=1) | measure_members(repeats=1)
    plain, ours = figures["clvae_epoch_seconds_plain"], figures["clvae_epoch_seconds_float32"]
    assert figures["clvae_epoch_speedup_float32"] == plain / ours
    assert figures["clvae_batched_members_speedup"] > 0


def test_images_are_like_those_of_mnist():
    images, labels = make_images(10)
    assert images.shape == (10, 1, 28, 28)
    assert set(labels) <= set(range(9))
