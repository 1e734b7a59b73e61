"""Principal components and feature distances against slow references."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scripts.baselines.features import Mahalanobis, NearestNormal
from scripts.baselines.pca import PrincipalComponents
from scripts.errors import InputError

GENERATOR = np.random.default_rng(0)


def make_slices(count: int, seed: int = 0) -> np.ndarray:
    """Return slices (N, 1, 8, 8) that differ along three directions, on a foreground of six columns."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(3, 1, 8, 8))
    images = 0.5 + 0.05 * np.tensordot(generator.normal(size=(count, 3)), directions, 1)
    images = np.clip(images, 0.01, 1)
    images[..., 6:] = 0
    return images.astype(np.float32)


def make_facts(count: int, label: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"level": [0.5] * count, "label": [label] * count})


def encode(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=1).reshape(len(images), -1)[:, [0, 9, 18, 27]]


BASELINES = {
    "pca": PrincipalComponents,
    "knn": lambda: NearestNormal(encode),
    "mahalanobis": lambda: Mahalanobis(encode),
}


def test_components_rebuild_what_varies_and_not_what_is_new():
    train, test = make_slices(40), make_slices(6, seed=1)
    new = test.copy()
    new[:, :, 2:4, 2:4] = 1.0
    baseline = PrincipalComponents(0.999)
    baseline.fit(train, make_facts(40))
    usual, unusual = baseline.score(test, make_facts(6)), baseline.score(new, make_facts(6))
    assert (unusual > 3 * usual).all()


def test_score_is_the_error_of_a_projection_over_the_foreground():
    train, test = make_slices(40), make_slices(3, seed=1)
    baseline = PrincipalComponents(0.5)
    baseline.fit(train, make_facts(40))
    flat = train.reshape(40, -1).astype(np.float64)
    mean = flat.mean(axis=0)
    _, values, axes = np.linalg.svd(flat - mean, full_matrices=False)
    count = int(np.searchsorted(np.cumsum(values**2) / (values**2).sum(), 0.5) + 1)
    for image, found in zip(test, baseline.score(test, make_facts(3)), strict=True):
        vector = image.ravel() - mean
        rebuilt = axes[:count].T @ (axes[:count] @ vector)
        inside = image.ravel() > 0
        assert found == pytest.approx(((vector - rebuilt)[inside] ** 2).mean(), rel=1e-3)


def test_distances_are_those_of_loops():
    train, test = make_slices(30), make_slices(4, seed=2)
    features, others = encode(train), encode(test)
    scaled, moved = ((one - features.mean(axis=0)) / features.std(axis=0) for one in (features, others))
    nearest, mahalanobis = NearestNormal(encode, 3), Mahalanobis(encode)
    for baseline in (nearest, mahalanobis):
        baseline.fit(train, make_facts(30))
    found = nearest.score(test, make_facts(4))
    for row, value in zip(moved, found, strict=True):
        distances = sorted(np.sqrt(((row - other) ** 2).sum()) for other in scaled)
        assert value == pytest.approx(np.mean(distances[:3]), rel=1e-4)
    inverse = np.linalg.inv(mahalanobis.covariance.covariance_)
    for row, value in zip(moved, mahalanobis.score(test, make_facts(4)), strict=True):
        assert value == pytest.approx(np.sqrt(row @ inverse @ row), rel=1e-3)


@pytest.mark.parametrize("name", BASELINES)
def test_only_normal_slices_are_learned_from_and_each_slice_has_its_own_score(name):
    train, test = make_slices(30), make_slices(5, seed=3)
    facts = make_facts(30)
    facts.loc[20:, "label"] = [1, -1] * 5
    spoiled = train.copy()
    spoiled[20:] = GENERATOR.random((10, 1, 8, 8))
    one, other = BASELINES[name](), BASELINES[name]()
    one.fit(train, facts)
    other.fit(spoiled, facts)
    scores = one.score(test, make_facts(5, label=-1))
    assert np.array_equal(scores, other.score(test, make_facts(5, label=1)))
    assert scores.dtype == np.float64
    order = [3, 0, 4]
    assert one.score(test[order], make_facts(3)) == pytest.approx(scores[order], rel=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_wrong_use_is_refused_with_its_reason(name):
    baseline = BASELINES[name]()
    with pytest.raises(InputError, match="call fit first"):
        baseline.score(make_slices(2), make_facts(2))
    with pytest.raises(InputError, match="at least 2 normal training slices to learn from, got 0"):
        baseline.fit(make_slices(2), make_facts(2, label=1))
    with pytest.raises(InputError, match="one row of facts per slice"):
        baseline.fit(make_slices(2), make_facts(3))
