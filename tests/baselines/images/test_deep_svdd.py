from __future__ import annotations

import numpy as np
import torch

from scripts.baselines.images.batches import map_batches
from scripts.baselines.images.deep_svdd import DeepSVDD
from scripts.baselines.images.training import Training


def test_the_score_is_the_squared_distance_from_a_centre_away_from_zero(split):
    detector = DeepSVDD(hidden_size=8, training=Training(epochs=1))
    detector.fit(split)
    centre = detector._centre.numpy()
    assert (np.abs(centre) >= np.float32(0.1)).all()
    outputs = map_batches(detector.network, split.test_images, "cpu")
    expected = ((outputs - centre) ** 2).sum(axis=1)
    np.testing.assert_allclose(detector.score(split.test_images)["deep_svdd"], expected, rtol=1e-4)


def test_the_centre_is_the_mean_of_the_initial_outputs_where_that_is_away_from_zero(split):
    detector = DeepSVDD(hidden_size=8)
    network = detector._make_network((1, 8, 8))
    with torch.no_grad():
        network[-1].weight.mul_(30)
    mean = map_batches(network, split.train_images, "cpu").mean(axis=0)
    away = np.abs(mean) >= 0.1
    assert 0 < away.sum() < 8
    centre = detector._find_centre(network, split.train_images).numpy()
    np.testing.assert_allclose(centre[away], mean[away], rtol=1e-5)
    np.testing.assert_allclose(centre[~away], 0.1 * np.sign(mean[~away]), rtol=1e-6)


def test_the_first_weights_come_from_the_seed():
    weights = [DeepSVDD(seed=seed)._make_network((1, 8, 8))[-1].weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_nothing_has_a_bias_and_training_pulls_inliers_in(split):
    begin, end = DeepSVDD(training=Training(epochs=1)), DeepSVDD(training=Training(epochs=15))
    begin.fit(split)
    end.fit(split)
    assert all(parameter.ndim > 1 for parameter in end.network.parameters())
    assert torch.equal(begin._centre, end._centre)
    scores = [detector.score(split.validation_images)["deep_svdd"].mean() for detector in (begin, end)]
    assert scores[1] < 0.5 * scores[0]
