import numpy as np
import pytest
import torch

from scripts.networks.clvae import (
    CLVAE,
    PUBLISHED_LATENT_SIZES,
    PUBLISHED_STACKS,
    architecture_for,
    shuffled_order,
)
from scripts.networks.sphere import sphere_points

SHAPES = {"mnist": (1, 28), "fashion_mnist": (1, 28), "cifar10": (3, 32)}


def make(seed=0, **arguments):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLVAE(**{"classes": 9, "image_size": 8, "stack": [(4, 1), (8, 2)], **arguments})


@pytest.mark.parametrize("name", PUBLISHED_STACKS)
def test_published_architectures_give_back_an_image(name):
    channels, size = SHAPES[name]
    network = make(
        in_channels=channels,
        image_size=size,
        stack=PUBLISHED_STACKS[name],
        latent_size=PUBLISHED_LATENT_SIZES[name],
    )
    image = torch.rand(2, channels, size, size)
    output = network(image, torch.zeros(2, network.latent_size))
    assert output.logits.shape == image.shape
    assert output.mean.shape == output.log_variance.shape == (2, PUBLISHED_LATENT_SIZES[name])


def test_the_decoder_mirrors_the_encoder_as_the_papers_does():
    layers = make(image_size=28, stack=PUBLISHED_STACKS["mnist"]).decoder.modules()
    convolutions = [one for one in layers if isinstance(one, torch.nn.ConvTranspose2d)]
    shapes = [(one.in_channels, one.out_channels, one.stride[0]) for one in convolutions]
    assert shapes == [(64, 64, 2), (64, 32, 2), (32, 1, 1)]


def test_a_narrower_decoder_leaves_the_encoder_as_it_is():
    whole, half = make(), make(decoder_width=0.5)
    assert [one.shape for one in whole.encoder.parameters()] == [
        one.shape for one in half.encoder.parameters()
    ]
    assert half.bottom[0] == whole.bottom[0] // 2
    assert half(torch.rand(1, 1, 8, 8), torch.zeros(1, 2)).logits.shape == (1, 1, 8, 8)


def test_the_draw_is_mean_plus_deviation_times_noise():
    network, image = make(), torch.rand(3, 1, 8, 8)
    mean, log_variance = network.encode(image)
    noise = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    expected = network.decode(mean + log_variance.exp().sqrt() * noise)
    torch.testing.assert_close(network(image, noise).logits, expected)


def test_batches_of_one_and_eight_agree():
    network, image = make().eval(), torch.rand(8, 1, 8, 8)
    noise = torch.randn(8, 2)
    together = network(image, noise)
    alone = [network(image[one : one + 1], noise[one : one + 1]) for one in range(8)]
    for index, part in enumerate(together):
        torch.testing.assert_close(part, torch.cat([output[index] for output in alone]), rtol=1e-4, atol=1e-6)


def test_each_class_gets_the_centre_of_its_place_in_the_order():
    order = shuffled_order(9, seed=3)
    assert sorted(order) == list(range(9)) != order
    network = make(order=order, radius=3.0)
    points = torch.tensor(sphere_points(9, 2, 3.0), dtype=torch.float32)
    labels = torch.tensor([0, 8, 4])
    torch.testing.assert_close(network.class_centres(labels), points[[order[0], order[8], order[4]]])


def test_every_member_has_its_own_order():
    orders = {tuple(shuffled_order(9, seed)) for seed in range(10)}
    assert len(orders) == 10


def test_the_standard_prior_is_one_for_all_classes_at_0():
    centres = make(prior="standard").class_centres(torch.tensor([0, 5]))
    assert torch.equal(centres, torch.zeros(2, 2))


def test_learned_centres_begin_on_the_sphere_and_are_weights():
    network = make(prior="learned", latent_size=3)
    assert any(one is network.centres for one in network.parameters())
    np.testing.assert_allclose(network.centres.detach(), sphere_points(9, 3, 3.0), atol=1e-6)


def test_weights_and_centres_come_back_from_a_state_dict():
    trained, image = make(seed=1, order=shuffled_order(9, 1)), torch.rand(2, 1, 8, 8)
    loaded = CLVAE(**make().arguments)
    loaded.load_state_dict(trained.state_dict(), strict=True)
    torch.testing.assert_close(loaded.encode(image), trained.encode(image))
    assert torch.equal(loaded.centres, trained.centres)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 9}, "multiple of 2"),
        ({"order": [0] * 9}, "permutation"),
        ({"prior": "cube"}, "sphere, learned, standard"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(Exception, match=message):
        make(**arguments)


def test_other_data_sets_get_the_architecture_of_mnist():
    assert [architecture_for(name) for name in ("cifar10", "digits")] == ["cifar10", "mnist"]
