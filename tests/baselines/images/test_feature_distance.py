from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from scripts.baselines.images.feature_distance import MahalanobisDistance, NearestNeighborDistance
from scripts.errors import InputError


@pytest.fixture(scope="module")
def known():
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=120)
    mixing = generator.normal(size=(6, 6))
    features = generator.normal(size=(3, 6))[labels] * 4 + generator.normal(size=(120, 6)) @ mixing
    features[:, 5] = 0  # as a unit of a ReLU that never fires
    return features, labels


def test_the_mahalanobis_distance_is_that_of_scipy_to_the_nearest_class(known):
    features, labels = known
    means = [features[labels == label].mean(axis=0) for label in range(3)]
    centred = np.array([row - means[label] for row, label in zip(*known, strict=True)])
    covariance, _ = ledoit_wolf(centred, assume_centered=True)
    queries = np.random.default_rng(1).normal(size=(10, 6)) * 5
    expected = [
        min(mahalanobis(query, mean, np.linalg.inv(covariance)) for mean in means) for query in queries
    ]
    distance = MahalanobisDistance()
    distance.fit(features, labels)
    np.testing.assert_allclose(distance.score(queries), expected, rtol=1e-9)
    relabelled = MahalanobisDistance()
    relabelled.fit(features, np.array([2, 0, 1])[labels])
    np.testing.assert_allclose(relabelled.score(queries), expected, rtol=1e-9)


@pytest.mark.parametrize("neighbours", [1, 5, 120])
def test_the_nearest_neighbour_distance_is_that_of_a_loop(known, neighbours):
    features, _ = known
    queries = np.random.default_rng(1).normal(size=(10, 6))
    expected = []
    for query in queries:
        unit = query / np.linalg.norm(query)
        distances = [np.linalg.norm(unit - row / np.linalg.norm(row)) for row in features]
        expected.append(sorted(distances)[neighbours - 1])
    distance = NearestNeighborDistance(neighbours)
    distance.fit(features)
    np.testing.assert_allclose(distance.score(queries), expected, rtol=1e-6)


@pytest.mark.parametrize("neighbours", [0, 121])
def test_more_neighbours_than_images_are_refused(known, neighbours):
    with pytest.raises(InputError, match=f"1 to 120 neighbours, .* got {neighbours}"):
        NearestNeighborDistance(neighbours).fit(known[0])
