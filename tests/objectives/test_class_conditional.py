import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from scripts.errors import InputError
from scripts.networks.clvae import CLVAE
from scripts.objectives.class_conditional import ClassConditionalLoss, centre_overlap
from scripts.objectives.elbo import kl_to_unit_normal


@pytest.fixture
def moments():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance, centre = torch.randn(3, 4, 3, generator=generator).double()
    return mean, log_variance, centre


def test_kl_is_that_of_the_closed_form_of_torch(moments):
    mean, log_variance, centre = moments
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(centre, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_unit_normal(mean, log_variance, centre), expected)


def test_kl_is_the_mean_log_ratio_of_the_densities(moments):
    posterior = Normal(moments[0], (0.5 * moments[1]).exp())
    noise = torch.randn(200_000, 4, 3, generator=torch.Generator().manual_seed(1)).double()
    draws = posterior.mean + posterior.stddev * noise
    ratios = (posterior.log_prob(draws) - Normal(moments[2], 1.0).log_prob(draws)).sum(dim=2)
    error = 5 * ratios.std(dim=0) / len(draws) ** 0.5
    assert ((kl_to_unit_normal(*moments) - ratios.mean(dim=0)).abs() < error).all()


def test_kl_broadcasts_over_centres(moments):
    mean, log_variance, _ = moments
    centres = torch.randn(5, 3).double()
    table = kl_to_unit_normal(mean[:, None], log_variance[:, None], centres)
    assert table.shape == (4, 5)
    torch.testing.assert_close(table[:, 2], kl_to_unit_normal(mean, log_variance, centres[2]))


@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0])
def test_overlap_of_two_priors_is_the_integral_of_the_root_of_their_densities(distance):
    integral = quad(lambda x: np.sqrt(norm.pdf(x) * norm.pdf(x, distance)), -10, 13)[0]
    assert float(centre_overlap(torch.tensor([[0.0], [distance]]))) == pytest.approx(integral, rel=1e-5)


def test_a_single_centre_overlaps_nothing():
    assert float(centre_overlap(torch.zeros(1, 2))) == 0


@pytest.mark.parametrize("weight", [1 / 6, 1 / 2])
def test_loss_is_the_weighted_sum_over_pixels_and_dimensions(weight):
    torch.manual_seed(0)
    network, image, labels = (
        CLVAE(3, image_size=4, stack=[(2, 2)]),
        torch.rand(2, 1, 4, 4),
        torch.tensor([2, 0]),
    )
    output = network(image, torch.randn(2, 2))
    probability = torch.sigmoid(output.logits)
    entropy = -(image * probability.log() + (1 - image) * (1 - probability).log()).sum(dim=(1, 2, 3))
    kl = torch.stack(
        [
            0.5
            * sum(v.exp() + (m - c) ** 2 - 1 - v for m, v, c in zip(mean, log_variance, centre, strict=True))
            for mean, log_variance, centre in zip(
                output.mean, output.log_variance, network.centres[labels], strict=True
            )
        ]
    )
    loss = ClassConditionalLoss(weight)(network, output, image, labels)
    torch.testing.assert_close(loss, weight * entropy + (1 - weight) * kl)


def test_repulsion_drives_learned_centres_apart():
    network = CLVAE(3, image_size=4, stack=[(2, 2)], prior="learned", radius=1.0)
    image, labels = torch.zeros(1, 1, 4, 4), torch.tensor([0])
    output = network(image, torch.zeros(1, 2))
    gradients = []
    for repulsion in (0.0, 1.0):
        loss = ClassConditionalLoss(0.5, repulsion)(network, output, image, labels).sum()
        gradients.append(torch.autograd.grad(loss, network.centres, retain_graph=True)[0])
    moved = network.centres - 0.1 * (gradients[1] - gradients[0])
    assert (torch.pdist(moved) > torch.pdist(network.centres)).all()


@pytest.mark.parametrize("weight", [0.0, 1.0, -1.0])
def test_a_weight_that_drops_a_term_is_refused(weight):
    with pytest.raises(InputError, match="reconstruction weight"):
        ClassConditionalLoss(weight)
