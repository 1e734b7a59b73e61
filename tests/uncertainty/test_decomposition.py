import numpy as np
import torch

from scripts.uncertainty.decomposition import decompose


def draws(samples=5, shape=(2, 1, 4, 3), seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn((samples, *shape), generator=generator, dtype=dtype)
    return means, torch.randn((samples, *shape), generator=generator, dtype=dtype)


def test_equals_numpy():
    means, log_variances = draws()
    mean, epistemic, aleatoric = decompose(means, log_variances)
    np.testing.assert_allclose(mean, np.mean(means.numpy(), axis=0))
    np.testing.assert_allclose(epistemic, np.var(means.numpy(), axis=0, ddof=0))
    np.testing.assert_allclose(aleatoric, np.mean(np.exp(log_variances.numpy()), axis=0))


def test_total_is_the_variance_of_the_sampled_mixture():
    means, log_variances = draws(samples=4, shape=(1, 1, 2, 2))
    mean, epistemic, aleatoric = decompose(means, log_variances)
    generator = torch.Generator().manual_seed(1)
    count = 400_000
    component = torch.randint(4, (count,), generator=generator)
    noise = torch.randn((count, 1, 1, 2, 2), generator=generator, dtype=torch.float64)
    values = means[component] + noise * log_variances[component].exp().sqrt()
    torch.testing.assert_close(values.mean(dim=0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(values.var(dim=0), epistemic + aleatoric, rtol=0.02, atol=0)


def test_one_draw_has_no_epistemic_variance():
    means, log_variances = draws(samples=1)
    mean, epistemic, aleatoric = decompose(means, log_variances)
    assert torch.equal(mean, means[0])
    assert (epistemic == 0).all()
    assert torch.equal(aleatoric, log_variances[0].exp())


def test_the_order_of_draws_does_not_matter():
    means, log_variances = draws()
    for one, other in zip(
        decompose(means, log_variances), decompose(means.flip(0), log_variances.flip(0)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_close_draws_do_not_cancel():
    """In float32, E[m^2] - E[m]^2 of values near 1000 would be noise of about 60, not 1e-4."""
    means = 1000 + 0.01 * torch.tensor([-1.0, 1.0, -1.0, 1.0]).reshape(4, 1, 1, 1, 1)
    _, epistemic, _ = decompose(means, torch.zeros_like(means))
    torch.testing.assert_close(epistemic, torch.full_like(epistemic, 1e-4), rtol=0.05, atol=0)
    assert (epistemic >= 0).all()
