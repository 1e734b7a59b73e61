"""Likelihood under one probabilistic PCA per class: the linear baseline of the CL-VAE paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from scripts.baselines.images.detector import Scores, check_images, flatten
from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_files import Images
from scripts.errors import InputError

_BATCH = 4096
_LEAST_VARIANCE = 1e-10


class PCALikelihood:
    """Minus the log-likelihood of the pixels, in nats, under the best fitting class (``pca_likelihood``).

    Args:
        components: principal components per class; the paper takes the CL-VAE's latent dimension.
        seed: of the randomised decomposition.
    """

    def __init__(self, components: int = 2, seed: int = 0) -> None:
        self.components = components
        self.seed = seed
        self._models: list[PCA] = []
        self._shape: tuple[int, ...] | None = None

    def fit(self, split: AnomalySplit) -> None:
        """Fit a PCA to the training images of each class.

        Raises:
            InputError: a class has too few images, or an image too few pixels, for that many components.
        """
        counts = np.bincount(split.train_labels)
        most = min(int(counts.min()) - 1, split.train_images[0].size) - 1
        if not 1 <= self.components <= most:
            raise InputError(
                f"Expected 1 to {most} components for the smallest class of {counts.min()} images, got "
                f"{self.components}; choose fewer."
            )
        self._shape = split.train_images.shape[1:]
        self._models = [
            PCA(self.components, random_state=self.seed).fit(
                flatten(split.train_images[split.train_labels == label]).astype(np.float64)
            )
            for label in range(len(split.classes))
        ]
        if min(model.noise_variance_ for model in self._models) < _LEAST_VARIANCE:
            raise InputError(
                f"Expected components that leave some variance of every class over, got {self.components}, "
                "which leave none; choose fewer."
            )

    def score(self, images: Images) -> Scores:
        """Return ``pca_likelihood`` (N,) of the images (N, C, H, W)."""
        check_images(images, self._shape)
        values = np.empty(len(images))
        for start in range(0, len(images), _BATCH):
            pixels = flatten(images[start : start + _BATCH]).astype(np.float64)
            likelihoods = [_log_likelihood(model, pixels) for model in self._models]
            values[start : start + _BATCH] = -np.max(likelihoods, axis=0)
        return {"pca_likelihood": values}


def _log_likelihood(model: PCA, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what ``model.score_samples`` does, (N,) in nats, for rows of pixels (N, D).

    Scikit-learn multiplies by the D x D precision, two minutes for the test images of CIFAR-10. Here the
    few components have variances of their own, and the D - k others the same one.
    """
    centred = pixels - model.mean_
    along = np.square(centred @ model.components_.T)
    noise, variances = model.noise_variance_, model.explained_variance_
    distances = (np.square(centred).sum(axis=1) - along @ (1 - noise / variances)) / noise
    others = pixels.shape[1] - len(variances)
    log_determinant = np.log(variances).sum() + others * np.log(noise)
    return -(distances + log_determinant + pixels.shape[1] * np.log(2 * np.pi)) / 2
