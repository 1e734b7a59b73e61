import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from scripts.errors import InputError
from scripts.latent.class_gaussians import fit_class_gaussians


def points_of(counts, dimension=3, seed=0):
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(dimension, dimension))
    parts = [
        generator.normal(5 * label, 1, (count, dimension)) @ mixing for label, count in enumerate(counts)
    ]
    return np.concatenate(parts), np.repeat(np.arange(len(counts)), counts)


def test_log_confidence_is_the_log_density_over_that_of_the_mean():
    points, labels = points_of([200, 300])
    gaussians = fit_class_gaussians(points, labels, 2)
    found = gaussians.log_confidences(points)
    for label in (0, 1):
        inside = points[labels == label]
        density = multivariate_normal(inside.mean(axis=0), np.cov(inside.T))
        expected = density.logpdf(points) - density.logpdf(inside.mean(axis=0))
        np.testing.assert_allclose(found[:, label], expected, rtol=1e-6, atol=1e-9)


def test_ranks_where_the_confidence_itself_is_zero():
    points, labels = points_of([100, 100])
    gaussians = fit_class_gaussians(points, labels, 2)
    far = np.linspace(1e3, 1e4, 50)[:, None] * np.ones(3)
    best = gaussians.log_confidences(far).max(axis=1)
    assert np.unique(np.exp(best)).tolist() == [0.0]
    assert (np.diff(best) < 0).all()


def test_a_small_class_is_shrunk():
    points, labels = points_of([12, 200])
    gaussians = fit_class_gaussians(points, labels, 2)
    np.testing.assert_allclose(gaussians.covariances[0], ledoit_wolf(points[labels == 0])[0], rtol=1e-6)
    np.testing.assert_allclose(gaussians.covariances[1], np.cov(points[labels == 1].T), rtol=1e-6)


def test_a_class_that_fills_no_space_has_finite_distances():
    points, labels = points_of([50, 50])
    points[:, 2] = 1.0
    assert np.isfinite(fit_class_gaussians(points, labels, 2).log_confidences(points)).all()


def test_one_dimension_is_enough():
    points, labels = points_of([50, 50], dimension=1)
    found = fit_class_gaussians(points, labels, 2).log_confidences(points)
    inside = points[labels == 0, 0]
    np.testing.assert_allclose(
        found[:50, 0], -0.5 * (inside - inside.mean()) ** 2 / inside.var(ddof=1), rtol=1e-6
    )


def test_what_has_no_gaussian_is_refused():
    points, labels = points_of([1, 20])
    with pytest.raises(InputError, match="two images of class 0, *got 1|two images of class 0"):
        fit_class_gaussians(points, labels, 2)
    points[3, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        fit_class_gaussians(points, labels, 2)
