from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from scripts.baselines.images.pca import PCALikelihood, _log_likelihood
from scripts.errors import InputError


@pytest.mark.parametrize("components", [1, 2, 5])
def test_the_likelihood_is_that_of_the_gaussian_of_probabilistic_pca(split, components):
    # Tipping and Bishop: covariance W W' + s^2 I, whose first eigenvalues are those of the sample
    # covariance, and all others their mean.
    images = split.test_images[:40]
    likelihoods = []
    for label in range(len(split.classes)):
        pixels = split.train_images[split.train_labels == label].reshape(-1, 64) / 255
        values, vectors = np.linalg.eigh(np.cov(pixels.T))
        values[:-components] = values[:-components].mean()
        gaussian = multivariate_normal(pixels.mean(axis=0), vectors * values @ vectors.T)
        likelihoods.append(gaussian.logpdf(images.reshape(-1, 64) / 255))
    baseline = PCALikelihood(components)
    baseline.fit(split)
    expected = -np.max(likelihoods, axis=0)
    np.testing.assert_allclose(baseline.score(images)["pca_likelihood"], expected, rtol=1e-4)


@pytest.mark.parametrize("components", [1, 2, 20])
def test_the_likelihood_is_that_of_scikit_learn(split, components):
    baseline = PCALikelihood(components)
    baseline.fit(split)
    pixels = split.test_images.reshape(-1, 64) / 255
    for model in baseline._models:
        np.testing.assert_allclose(_log_likelihood(model, pixels), model.score_samples(pixels), rtol=1e-9)


@pytest.mark.parametrize("components", [0, 64])
def test_too_many_components_are_refused(split, components):
    with pytest.raises(InputError, match=rf"1 to 63 components .*, got {components}; choose fewer"):
        PCALikelihood(components).fit(split)


def test_components_that_hold_all_variance_are_refused(split):
    # Some pixels are black in every digit, so fewer than 63 components say everything.
    with pytest.raises(InputError, match="leave some variance of every class over, got 63"):
        PCALikelihood(63).fit(split)
