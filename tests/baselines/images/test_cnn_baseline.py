from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import spearmanr

from scripts.baselines.images.cnn import CNN, Classifier, confidence_scores
from scripts.baselines.images.training import Training
from scripts.data.anomaly_splits import held_out_class
from scripts.data.image_sets import ImageSet
from scripts.errors import InputError


def test_max_softmax_has_the_order_of_the_largest_probability():
    logits = np.random.default_rng(0).normal(scale=3, size=(200, 9))
    largest = softmax(logits, axis=1).max(axis=1)
    score = confidence_scores(logits)["max_softmax"]
    np.testing.assert_allclose(score, np.log((1 - largest) / largest), rtol=1e-9)
    assert spearmanr(score, -largest).statistic == pytest.approx(1)


def test_max_softmax_has_no_ties_where_the_probability_rounds_to_one():
    logits = np.array([[0.0, 50.0, 1.0], [0.0, 60.0, 1.0], [0.0, 5000.0, 1.0]])
    assert (softmax(logits, axis=1).max(axis=1) == 1).all()
    assert (np.diff(confidence_scores(logits)["max_softmax"]) < -9).all()


def test_energy_is_minus_the_logsumexp_and_the_order_of_classes_is_nothing():
    logits = np.random.default_rng(1).normal(scale=2, size=(50, 6))
    scores = confidence_scores(logits)
    np.testing.assert_allclose(scores["energy"], -np.log(np.exp(logits).sum(axis=1)))
    for name, values in confidence_scores(logits[:, [3, 0, 5, 1, 2, 4]]).items():
        assert np.array_equal(values, scores[name])


@pytest.mark.parametrize(
    ("shape", "layers", "size"),
    [
        ((1, 28, 28), ((32, 2), (64, 2)), 7 * 7 * 64),
        ((1, 28, 28), ((16, 1), (32, 2), (64, 2)), 7 * 7 * 64),
        ((3, 32, 32), ((64, 2), (128, 2), (256, 2)), 4 * 4 * 256),
    ],
)
def test_the_published_stacks_have_their_sizes(shape, layers, size):
    network = Classifier(shape, layers, hidden_size=16, classes=9)
    assert network.features[2].in_features == size
    assert network(torch.zeros(2, *shape)).shape == (2, 9)


def test_features_lead_to_the_logits(split):
    detector = CNN(hidden_size=12, training=Training(epochs=2))
    detector.fit(split)
    features = detector.features(split.test_images)
    assert features.shape == (len(split.test_images), 12)
    assert features.min() >= 0
    last = detector.network.logits
    logits = features @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    for name, values in confidence_scores(logits).items():
        np.testing.assert_allclose(detector.score(split.test_images)[name], values, rtol=1e-3, atol=1e-4)


def test_the_first_weights_come_from_the_seed(split):
    def first_weights(seed):
        detector = CNN(seed=seed, training=Training(epochs=1, learning_rate=0))
        detector.fit(split)
        return detector.network.logits.weight

    assert torch.equal(first_weights(0), first_weights(0))
    assert not torch.equal(first_weights(0), first_weights(1))


def test_one_class_cannot_be_classified(split):
    inliers = np.isin(split.train_labels, (0, 1))
    images, labels = split.train_images[inliers], split.train_labels[inliers]
    two_classes = ImageSet("two", images, labels, images, labels)
    with pytest.raises(InputError, match="at least 2 inlier classes to classify, got 1"):
        CNN().fit(held_out_class(two_classes, 0))
