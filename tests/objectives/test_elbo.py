import pytest
import torch
from small_networks import small_images, small_vae
from torch.distributions import Independent, Normal, kl_divergence

from scripts.errors import InputError
from scripts.objectives.elbo import (
    LikelihoodRegion,
    NegativeELBO,
    gaussian_log_likelihood,
    kl_to_unit_normal,
)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def outputs(count=3, channels=1, size=32, latent=6):
    shape = (count, channels, size, size)
    return (
        random(*shape, seed=1),
        random(*shape, seed=2),
        random(count, latent, seed=3),
        random(count, latent, seed=4),
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_log_likelihood_equals_torch_distributions(channels):
    image, mean, log_variance = (random(3, channels, 5, 7, seed=seed) for seed in range(3))
    expected = Independent(Normal(mean, log_variance.exp().sqrt()), 3).log_prob(image)
    torch.testing.assert_close(gaussian_log_likelihood(image, mean, log_variance), expected)


def test_log_likelihood_of_a_region_is_the_sum_over_its_pixels():
    image, mean, log_variance = (random(3, 2, 5, 7, seed=seed) for seed in range(3))
    region = random(3, 1, 5, 7, seed=3) > 0
    density = Normal(mean, log_variance.exp().sqrt()).log_prob(image)
    expected = [one[:, inside[0]].sum() for one, inside in zip(density, region, strict=True)]
    torch.testing.assert_close(
        gaussian_log_likelihood(image, mean, log_variance, region), torch.stack(expected)
    )


def test_log_likelihood_is_finite_at_the_clamp():
    image, mean = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    for limit in (-20.0, 20.0):
        assert gaussian_log_likelihood(image, mean, torch.full_like(mean, limit)).isfinite().all()


def test_kl_equals_the_closed_form_of_torch():
    mean, log_variance = random(4, 6, seed=1), random(4, 6, seed=2)
    posterior = Normal(mean, log_variance.exp().sqrt())
    expected = kl_divergence(posterior, Normal(torch.zeros(6).double(), torch.ones(6).double())).sum(dim=1)
    torch.testing.assert_close(kl_to_unit_normal(mean, log_variance), expected)


def test_kl_equals_a_monte_carlo_estimate():
    mean, log_variance = random(2, 3, seed=1), random(2, 3, seed=2)
    posterior, prior = Normal(mean, log_variance.exp().sqrt()), Normal(0.0, 1.0)
    draws = mean + log_variance.exp().sqrt() * random(200_000, 2, 3, seed=5)
    ratio = (posterior.log_prob(draws) - prior.log_prob(draws)).sum(dim=-1)
    error = ratio.std(dim=0) / len(draws) ** 0.5
    assert ((ratio.mean(dim=0) - kl_to_unit_normal(mean, log_variance)).abs() < 5 * error).all()
    assert (error < 0.02).all()


def test_kl_is_zero_for_the_prior_alone():
    zeros = torch.zeros(2, 4)
    assert torch.equal(kl_to_unit_normal(zeros, zeros), torch.zeros(2))
    assert (kl_to_unit_normal(zeros + 0.1, zeros) > 0).all()
    assert (kl_to_unit_normal(zeros, zeros + 0.1) > 0).all()


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("region", list(LikelihoodRegion))
def test_beta_1_is_the_negative_evidence_lower_bound_per_value(region, channels):
    image, output = small_images(channels=channels).double(), outputs(channels=channels)
    mean, log_variance, latent_mean, latent_log_variance = output
    inside = (image > 0).any(dim=1, keepdim=True).double()
    weights = inside if region is LikelihoodRegion.FOREGROUND else torch.ones_like(inside)
    log_likelihood = Normal(mean, log_variance.exp().sqrt()).log_prob(image) * weights
    posterior = Normal(latent_mean, latent_log_variance.exp().sqrt())
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1)
    elbo = log_likelihood.sum(dim=(1, 2, 3)) - kl
    expected = -elbo.mean() / (channels * 32 * 32)
    loss = NegativeELBO(region=region.value, beta=1.0)(output, {"image": image})
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)


def test_regions_differ_where_there_is_background():
    image, output = small_images().double(), outputs()
    whole, head = (NegativeELBO(region)(output, {"image": image}) for region in ("image", "foreground"))
    assert not torch.allclose(whole, head)
    full = torch.full_like(image, 0.5)
    torch.testing.assert_close(
        NegativeELBO("image")(output, {"image": full}), NegativeELBO()(output, {"image": full})
    )


def terms_of(loss, output, batch):
    terms = loss.terms(output, batch)
    return terms["reconstruction_loss"], terms["kl"]


def test_beta_weighs_the_kl_only():
    image, output = small_images().double(), outputs()
    loss = NegativeELBO()
    nll, kl = terms_of(loss, output, {"image": image})
    assert nll.shape == kl.shape == ()
    for beta in (0.0, 0.1, 1.0, 4.0):
        loss.beta = beta
        torch.testing.assert_close(loss(output, {"image": image}), nll + beta * kl)


def test_loss_does_not_depend_on_the_image_size():
    small, large = small_images(1), small_images(1).repeat(1, 1, 2, 2)
    output = outputs(1)
    repeated = (*(one.repeat(1, 1, 2, 2) for one in output[:2]), *output[2:])
    nll, kl = terms_of(NegativeELBO(), output, {"image": small})
    large_nll, large_kl = terms_of(NegativeELBO(), repeated, {"image": large})
    torch.testing.assert_close(nll, large_nll)
    torch.testing.assert_close(kl, 4 * large_kl)


def test_half_precision_output_is_summed_in_float32():
    image = small_images()
    output = tuple(one.bfloat16() for one in outputs())
    loss = NegativeELBO()(output, {"image": image})
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, NegativeELBO()(tuple(one.float() for one in output), {"image": image}))


def test_unknown_region_is_refused():
    with pytest.raises(
        InputError, match="Expected a likelihood region out of foreground, image, got 'brain'"
    ):
        NegativeELBO("brain")


def test_the_mean_of_a_training_falls_to_its_optimum():
    """At the optimum of one constant image, the log variance is the log of the squared error."""
    image = torch.full((1, 1, 8, 8), 0.5)
    log_variance = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_variance], lr=0.5, max_iter=100)
    zeros = torch.zeros(1, 2)
    mean = torch.full_like(image, 0.3)

    def closure():
        optimizer.zero_grad()
        loss = NegativeELBO()((mean, log_variance.expand_as(image), zeros, zeros), {"image": image})
        loss.backward()
        return loss

    optimizer.step(closure)
    assert log_variance.item() == pytest.approx(2 * torch.tensor(0.2).log().item(), abs=1e-3)


def test_network_output_fits():
    network, image = small_vae(), small_images()
    loss = NegativeELBO()(network(image, torch.zeros(3, 6)), {"image": image})
    assert loss.isfinite()
    assert loss.requires_grad
