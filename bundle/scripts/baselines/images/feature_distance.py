"""Distance from the training images in the features of a classifier: k nearest neighbours and Mahalanobis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from scripts.baselines.images.cnn import CNN
from scripts.baselines.images.detector import Scores
from scripts.baselines.images.training import Training
from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_files import Images, Labels
from scripts.errors import InputError

Features = NDArray[np.float64]


class FeatureDistance:
    """Distance of a classifier's features from those of the training images (``knn``, ``mahalanobis``).

    Args:
        layers: (channels, stride) of each 3 x 3 convolution of the classifier.
        hidden_size: number of features.
        neighbours: of the so many nearest training images, the distance to the farthest counts.
        seed: of the classifier.
        training: of the classifier; the defaults of :class:`Training` when None.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[int]] = ((32, 2), (64, 2)),
        hidden_size: int = 128,
        neighbours: int = 50,
        seed: int = 0,
        training: Training | None = None,
    ) -> None:
        self.classifier = CNN(layers, hidden_size, seed, training)
        self.neighbours = neighbours
        self._nearest = NearestNeighborDistance(neighbours)
        self._mahalanobis = MahalanobisDistance()

    def fit(self, split: AnomalySplit) -> None:
        """Train the classifier and keep the features of the training images.

        Raises:
            InputError: there are fewer training images than neighbours, or fewer than two classes.
        """
        self.classifier.fit(split)
        features = self.classifier.features(split.train_images)
        self._nearest.fit(features)
        self._mahalanobis.fit(features, split.train_labels)

    @property
    def epochs(self) -> int:
        """Epochs that the classifier was trained."""
        return self.classifier.epochs

    @property
    def parameters(self) -> int:
        """Number of trained values of the classifier."""
        return self.classifier.parameters

    def score(self, images: Images) -> Scores:
        """Return ``knn`` and ``mahalanobis`` (N,) of the images (N, C, H, W)."""
        features = self.classifier.features(images)
        return {"knn": self._nearest.score(features), "mahalanobis": self._mahalanobis.score(features)}


class NearestNeighborDistance:
    """Euclidean distance to the k-th nearest training feature, all scaled to length 1 (arXiv 2204.06507)."""

    def __init__(self, neighbours: int) -> None:
        self.neighbours = neighbours
        self._search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute")

    def fit(self, features: Features) -> None:
        """Keep the features (N, d).

        Raises:
            InputError: there are fewer than neighbours.
        """
        if not 1 <= self.neighbours <= len(features):
            raise InputError(
                f"Expected 1 to {len(features)} neighbours, as many as training images, got "
                f"{self.neighbours}."
            )
        self._search.fit(normalize(features))

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the distances (N,) of features (N, d)."""
        distances, _ = self._search.kneighbors(normalize(features))
        return distances[:, -1]


class MahalanobisDistance:
    """Mahalanobis distance from the nearest class mean, one covariance for all classes (arXiv 1807.03888).

    The covariance is shrunk (Ledoit-Wolf): a ReLU leaves features that are always 0.
    """

    def fit(self, features: Features, labels: Labels) -> None:
        """Take the means and the covariance from features (N, d) and labels (N,), 0 to K - 1."""
        self._means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
        covariance = LedoitWolf(assume_centered=True).fit(features - self._means[labels])
        self._precision = covariance.precision_

    def score(self, features: Features) -> NDArray[np.float64]:
        """Return the distances (N,) of features (N, d)."""
        return cdist(features, self._means, "mahalanobis", VI=self._precision).min(axis=1)
