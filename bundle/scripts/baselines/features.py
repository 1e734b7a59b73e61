"""Distances to normal slices in the features of an encoder: k nearest neighbours and Mahalanobis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from scripts.baselines.baseline import Images, Scores, check_slices, normal_rows
from scripts.errors import InputError

Features = NDArray[np.float32]
Encoder = Callable[[Images], Features]
"""From slices (N, C, X, Y) to features (N, F)."""


class FeatureBaseline(ABC):
    """A distance to the features of normal slices, each feature in units of its own deviation.

    Args:
        encoder: from slices to features; it is used as it is.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.scaler: StandardScaler | None = None

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Keep what normal slices (label 0) look like.

        Raises:
            InputError: fewer than 2 of them.
        """
        chosen = normal_rows(images, facts, at_least=2)
        features = self.encoder(images[chosen])
        self.scaler = StandardScaler().fit(features)
        self.fit_features(self.scaler.transform(features))

    def score(self, images: Images, facts: pd.DataFrame) -> Scores:
        """Return (N,) distances of the slices (N, C, X, Y), in deviations."""
        check_slices(images, facts)
        if self.scaler is None:
            raise InputError("Expected a fitted baseline, got one without features; call fit first.")
        return self.distances(self.scaler.transform(self.encoder(images))).astype(np.float64)

    @abstractmethod
    def fit_features(self, features: Features) -> None:
        """Learn from (M, F) standardised features of normal slices."""

    @abstractmethod
    def distances(self, features: Features) -> NDArray:
        """Return the distance (N,) of each row of standardised features (N, F)."""


class NearestNormal(FeatureBaseline):
    """Mean distance to the nearest normal slices.

    Args:
        encoder: from slices to features.
        neighbours: how many (all, where there are fewer).
    """

    def __init__(self, encoder: Encoder, neighbours: int = 5) -> None:
        super().__init__(encoder)
        self.neighbours = int(neighbours)

    def fit_features(self, features: Features) -> None:
        """Keep the features."""
        self.index = NearestNeighbors(n_neighbors=min(self.neighbours, len(features))).fit(features)

    def distances(self, features: Features) -> NDArray:
        """Return mean distances (N,)."""
        return self.index.kneighbors(features)[0].mean(axis=1)


class Mahalanobis(FeatureBaseline):
    """Mahalanobis distance to the mean normal slice; the covariance is shrunk as Ledoit and Wolf do."""

    def fit_features(self, features: Features) -> None:
        """Estimate mean and covariance."""
        self.covariance = LedoitWolf().fit(features)

    def distances(self, features: Features) -> NDArray:
        """Return distances (N,)."""
        return np.sqrt(np.maximum(self.covariance.mahalanobis(features), 0))
