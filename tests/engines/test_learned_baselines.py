from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from scripts.baselines.pca import PrincipalComponents
from scripts.engines.learned_baselines import component_row, encoder_features, feature_scores
from scripts.evaluation.detection import auroc
from scripts.uncertainty.unet_mapper import UNetMapper
from tests.engines.test_run_tables import make_slices
from tests.small_networks import small_images, small_mapper


def test_features_are_means_of_the_last_map_whatever_the_batch() -> None:
    mapper, images = small_mapper(), small_images(5)
    found = encoder_features(mapper, images.numpy(), batch_size=2)
    assert found.shape == (5, 16)
    with torch.no_grad():
        for image, row in zip(images, found, strict=True):
            assert row == pytest.approx(
                mapper.encoder(image[None])[0].mean(dim=(1, 2)).numpy(), rel=1e-4, abs=1e-6
            )


def test_scores_have_one_number_a_slice_and_names_for_the_tables() -> None:
    test, training = make_slices(), make_slices()
    scores = feature_scores(small_mapper(), test, training)
    assert list(scores) == ["knn, encoder features", "mahalanobis, encoder features"]
    assert all(np.isfinite(values).all() and values.shape == (len(test),) for values in scores.values())
    # Other weights, other features.
    other = feature_scores(small_mapper(weights_seed=1), test, training)
    assert not np.allclose(other["knn, encoder features"], scores["knn, encoder features"])


def test_components_are_measured_slice_by_slice_and_pixel_by_pixel() -> None:
    test, training = make_slices(), make_slices()
    row = component_row(test, training, bootstrap_samples=20)
    baseline = PrincipalComponents()
    baseline.fit(training.images.numpy(), training.facts)
    known, inside = (test.facts["label"] != -1).to_numpy(), (test.images[:, 0] > 0).numpy()
    scores = baseline.score(test.images.numpy(), test.facts)
    assert row["score"] == "pca"
    assert row["auroc_balanced"] == auroc(scores[known], test.facts["label"].to_numpy()[known])
    lesions, errors = test.masks[:, 0].numpy()[inside], baseline.maps(test.images.numpy())[inside]
    assert row["ap_pixel"] == pytest.approx(average_precision_score(lesions, errors), rel=1e-4)


def test_a_network_without_an_encoder_has_no_features() -> None:
    mapper = UNetMapper(image_size=32, unet_channels=(8,) * 6)
    assert feature_scores(mapper, make_slices(), make_slices()) == {}
