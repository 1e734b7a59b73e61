"""What holds for every detector of anomalous images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from scripts.baselines.images import batches, pca
from scripts.baselines.images.cnn import CNN
from scripts.baselines.images.deep_svdd import DeepSVDD
from scripts.baselines.images.feature_distance import FeatureDistance
from scripts.baselines.images.one_class import IsolationForestDetector, OneClassSVMDetector
from scripts.baselines.images.pca import PCALikelihood
from scripts.baselines.images.training import Training
from scripts.errors import InputError

LAYERS = ((16, 1), (32, 2))


def make_detectors(seed=0):
    training = Training(epochs=15)
    return {
        "pca": PCALikelihood(components=3, seed=seed),
        "svm": OneClassSVMDetector(seed=seed),
        "forest": IsolationForestDetector(trees=50, seed=seed),
        "cnn": CNN(LAYERS, hidden_size=64, seed=seed, training=training),
        "features": FeatureDistance(LAYERS, seed=seed, training=training),
        "svdd": DeepSVDD(LAYERS, seed=seed, training=training),
    }


NAMES = list(make_detectors())
SCORES = {
    "pca": ["pca_likelihood"],
    "svm": ["one_class_svm"],
    "forest": ["isolation_forest"],
    "cnn": ["max_softmax", "energy"],
    "features": ["knn", "mahalanobis"],
    "svdd": ["deep_svdd"],
}


@pytest.fixture(scope="module")
def fitted(split):
    detectors = make_detectors()
    for detector in detectors.values():
        detector.fit(split)
    return detectors


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_finite_and_named(fitted, split, name):
    scores = fitted[name].score(split.test_images)
    assert list(scores) == SCORES[name]
    for values in scores.values():
        assert (values.shape, values.dtype) == ((len(split.test_images),), np.float64)
        assert np.isfinite(values).all()
        assert len(np.unique(values)) > 0.99 * len(np.unique(split.test_images, axis=0))


@pytest.mark.parametrize("name", ["cnn", "features", "svdd"])
def test_networks_say_what_they_cost(fitted, name):
    detector = fitted[name]
    assert 1 <= detector.epochs <= 15
    inner = {"cnn": 64, "features": 128, "svdd": 32}[name]
    bias = name != "svdd"
    convolutions = 9 * 16 + 9 * 16 * 32 + bias * (16 + 32)
    classes = bias * (inner + 1) * 9
    assert detector.parameters == convolutions + (32 * 4 * 4 + bias) * inner + classes
    assert make_detectors()[name].parameters == 0


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_more_abnormal_than_digits(fitted, split, strange, name):
    normal = split.validation_images
    for values in fitted[name].score(np.concatenate((normal, strange))).values():
        anomalous = np.arange(len(values)) >= len(normal)
        assert roc_auc_score(anomalous, values) > 0.85


def test_the_classifier_is_less_sure_of_a_digit_it_does_not_know(fitted, split):
    for values in fitted["cnn"].score(split.test_images).values():
        assert roc_auc_score(split.test_anomalous, values) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_scores_come_from_the_seed_and_leave_global_randomness_alone(fitted, split, name):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the state that must not matter
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    again, other = make_detectors()[name], make_detectors(seed=1)[name]
    again.fit(split)
    other.fit(split)
    for key, values in fitted[name].score(split.test_images).items():
        assert np.array_equal(again.score(split.test_images)[key], values)
        # The exact decomposition of small images has nothing to draw.
        assert np.array_equal(other.score(split.test_images)[key], values) == (name in ("pca", "svm"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_its_score_by_itself(fitted, split, name, monkeypatch):
    whole = fitted[name].score(split.test_images)
    monkeypatch.setattr(batches, "_INFERENCE_BATCH", 7)
    monkeypatch.setattr(pca, "_BATCH", 7)
    backwards = fitted[name].score(split.test_images[::-1])
    single = fitted[name].score(split.test_images[5:6])
    for key, values in whole.items():
        np.testing.assert_allclose(backwards[key][::-1], values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(single[key], values[5:6], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["pca", "svm", "forest", "svdd"])
def test_the_numbers_of_the_classes_change_nothing(fitted, split, relabelled, name):
    again = make_detectors()[name]
    again.fit(relabelled[0])
    for key, values in fitted[name].score(split.test_images).items():
        np.testing.assert_allclose(again.score(split.test_images)[key], values, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_test_part_is_not_looked_at(fitted, split, strange, name):
    again = make_detectors()[name]
    again.fit(dataclasses.replace(split, test_images=strange, test_labels=np.zeros(50, dtype=np.int64)))
    for key, values in fitted[name].score(split.test_images).items():
        assert np.array_equal(again.score(split.test_images)[key], values)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_scored_is_refused(fitted, split, name):
    with pytest.raises(InputError, match="Expected a fitted detector, .* call fit first"):
        make_detectors()[name].score(split.test_images)
    for images in (split.test_images / 255, split.test_images[:, 0], split.test_images[..., :4]):
        with pytest.raises(InputError, match=r"uint8 images of shape \(N, 1, 8, 8\), got "):
            fitted[name].score(images)
