from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.engines.learned_baselines import component_scores, encoder_features, feature_scores
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
    scores = feature_scores(small_mapper(), test, training) | component_scores(test, training)
    assert list(scores) == ["knn, encoder features", "mahalanobis, encoder features", "pca"]
    assert all(np.isfinite(values).all() and values.shape == (len(test),) for values in scores.values())
    # Other weights, other features.
    other = feature_scores(small_mapper(weights_seed=1), test, training)
    assert not np.allclose(other["knn, encoder features"], scores["knn, encoder features"])


def test_a_network_without_an_encoder_has_no_features() -> None:
    mapper = UNetMapper(image_size=32, unet_channels=(8,) * 6)
    assert feature_scores(mapper, make_slices(), make_slices()) == {}
