"""The Gaussian that each class fills in a latent space, and how far a point is from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.covariance import ledoit_wolf

from scripts.errors import InputError

Points = NDArray[np.float64]

_JITTER = 1e-9
"""Share of the mean variance added to the diagonal: a class in a subspace has no inverse covariance."""


@dataclass(frozen=True)
class ClassGaussians:
    """Mean and covariance of every class's latent means over the training images.

    Attributes:
        means: (classes, latent).
        covariances: (classes, latent, latent).
    """

    means: Points
    covariances: Points

    def log_confidences(self, points: Points) -> Points:
        """Return (N, classes): -0.5 Mahalanobis^2 of the points (N, latent), at most 0.

        The logarithm of the paper's confidence exp(-Mahalanobis^2 / 2), its equation of the latent
        divergence: the log density minus its value at the class's mean. The confidence itself is 0 in
        floating point for all points beyond 39 deviations, which would tie.
        """
        columns = []
        for mean, covariance in zip(self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance)
            standardised = solve_triangular(root, (points - mean).T, lower=True)
            columns.append(-0.5 * np.square(standardised).sum(axis=0))
        return np.stack(columns, axis=1)


def fit_class_gaussians(points: Points, labels: NDArray[np.int64], classes: int) -> ClassGaussians:
    """Fit one Gaussian to the points of each class.

    The covariance is the sample's, shrunk towards a multiple of the identity (Ledoit and Wolf, 2004,
    who choose how far) in a class with fewer than ten points a dimension.

    Args:
        points: (N, latent).
        labels: (N,) classes from 0.
        classes: how many there are.

    Raises:
        InputError: a class with fewer than two points, or points that are not finite.
    """
    if not np.isfinite(points).all():
        raise InputError(
            "Expected finite latent means, got NaN or infinity; train with a lower learning rate."
        )
    fitted = [_fit(points[labels == one], one) for one in range(classes)]
    return ClassGaussians(np.stack([mean for mean, _ in fitted]), np.stack([cov for _, cov in fitted]))


def _fit(points: Points, label: int) -> tuple[Points, Points]:
    count, dimension = points.shape
    if count < 2:
        raise InputError(f"Expected at least two images of class {label} to fit its Gaussian, got {count}.")
    if count < 10 * dimension:
        covariance = ledoit_wolf(points)[0]
    else:
        covariance = np.atleast_2d(np.cov(points, rowvar=False))
    scale = np.trace(covariance) / dimension
    return points.mean(axis=0), covariance + (_JITTER * scale + np.finfo(float).tiny) * np.eye(dimension)
