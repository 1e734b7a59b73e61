import pytest
import torch

from scripts.errors import InputError
from scripts.uncertainty.latent_noise import NoiseKind, latent_noise

KINDS = list(NoiseKind)


@pytest.mark.parametrize("kind", KINDS)
def test_same_arguments_same_draws_whatever_ran_before(kind):
    first = latent_noise(5, 256, 0, kind)
    torch.manual_seed(17)
    torch.randn(3)
    assert torch.equal(latent_noise(5, 256, 0, kind.value), first)
    state = torch.get_rng_state()
    latent_noise(5, 256, 0, kind)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 2, 5, 8])
def test_shape_and_dtype(kind, samples):
    noise = latent_noise(samples, 7, 0, kind)
    assert noise.shape == (samples, 7)
    assert noise.dtype is torch.float32
    assert noise.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_seed_matters(kind):
    assert not torch.equal(latent_noise(5, 16, 0, kind), latent_noise(5, 16, 1, kind))


def test_kinds_differ():
    noises = [latent_noise(5, 16, 0, kind) for kind in KINDS]
    assert not any(torch.equal(noises[i], noises[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_the_standard_normal(kind):
    noise = latent_noise(4096, 16, 3, kind).double()
    assert noise.mean(dim=0).abs().max() < 0.08
    assert (noise.std(dim=0) - 1).abs().max() < 0.06
    # Half of a normal lies within 0.6745 standard deviations.
    assert ((noise.abs() < 0.6745).double().mean() - 0.5).abs() < 0.01


@pytest.mark.parametrize("samples", [2, 4, 6])
def test_antithetic_draws_average_to_exactly_zero(samples):
    noise = latent_noise(samples, 32, 0, NoiseKind.ANTITHETIC)
    assert torch.equal(noise[0::2], -noise[1::2])
    assert (noise.sum(dim=0) == 0).all()


def test_odd_antithetic_draws_are_pairs_and_one():
    noise = latent_noise(5, 32, 0, NoiseKind.ANTITHETIC)
    assert torch.equal(noise[:4], latent_noise(6, 32, 0, NoiseKind.ANTITHETIC)[:4])
    assert torch.equal(noise[2], -noise[3])
    assert noise[4].abs().sum() > 0


def test_normal_draws_grow_with_k():
    """The first draws stay the same when K grows: results with more draws refine those with fewer."""
    assert torch.equal(latent_noise(8, 16)[:5], latent_noise(5, 16))


@pytest.mark.parametrize("samples", [0, -1])
def test_no_sample_is_refused(samples):
    with pytest.raises(InputError, match=f"at least 1 draw, got {samples}"):
        latent_noise(samples, 4)


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="normal, antithetic, sobol, got 'uniform'"):
        latent_noise(2, 4, kind="uniform")
