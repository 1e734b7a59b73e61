"""Splits of the digits, and images that are no digits at all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scripts.data.anomaly_splits import AnomalySplit, held_out_class
from scripts.data.image_sets import load_image_set


@pytest.fixture(scope="session")
def split() -> AnomalySplit:
    """Digits without the class 3."""
    return held_out_class(load_image_set("digits"), 3, "test_only")


@pytest.fixture(scope="session")
def relabelled(split) -> tuple[AnomalySplit, np.ndarray]:
    """The same images in the same order, with the inlier classes numbered otherwise; the new numbers."""
    order = np.random.default_rng(0).permutation(len(split.classes))
    return dataclasses.replace(
        split,
        train_labels=order[split.train_labels],
        validation_labels=order[split.validation_labels],
    ), order


@pytest.fixture(scope="session")
def strange() -> np.ndarray:
    """(50, 1, 8, 8) uniform noise."""
    return np.random.default_rng(0).integers(256, size=(50, 1, 8, 8), dtype=np.uint8)
