"""Reconstruction from principal components: the linear autoencoder, without a network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from scripts.baselines.baseline import Images, Scores, check_slices, normal_rows
from scripts.errors import InputError
from scripts.evaluation.checks import check_fraction


class PrincipalComponents:
    """Mean squared error over the foreground of a slice rebuilt from the components of normal slices.

    Args:
        explained: share of the training variance that the components hold, in (0, 1); it sets how many.
    """

    def __init__(self, explained: float = 0.9) -> None:
        self.explained = check_fraction(explained, "explained")
        self.model: PCA | None = None

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Learn the components of the slices of label 0.

        Raises:
            InputError: fewer than 2 of them.
        """
        chosen = normal_rows(images, facts, at_least=2)
        self.model = PCA(self.explained, svd_solver="full").fit(_flat(images[chosen]))

    def maps(self, images: Images) -> NDArray[np.float32]:
        """Return (N, X, Y) errors of slices (N, C, X, Y), means over channels, normalised intensity^2.

        Raises:
            InputError: :meth:`fit` was not called.
        """
        if self.model is None:
            raise InputError("Expected a fitted baseline, got one without components; call fit first.")
        flat = _flat(images)
        error = np.square(flat - self.model.inverse_transform(self.model.transform(flat)))
        return error.reshape(images.shape).mean(axis=1).astype(np.float32)

    def score(self, images: Images, facts: pd.DataFrame) -> Scores:
        """Return (N,) errors of the slices (N, C, X, Y), normalised intensity^2."""
        check_slices(images, facts)
        return head_means(self.maps(images), images)


def head_means(maps: NDArray[np.float32], images: Images) -> Scores:
    """Return the mean (N,) of maps (N, X, Y) over the head of slices (N, C, X, Y)."""
    inside = (images > 0).any(axis=1)
    values = np.where(inside, maps, 0).astype(np.float64)
    return values.sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)


def _flat(images: Images) -> NDArray[np.float32]:
    return images.reshape(len(images), -1)
