"""A classifier of the inlier classes, unsure about anomalies: the CNN baseline of the CL-VAE paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import nn

from scripts.baselines.images.batches import map_batches
from scripts.baselines.images.detector import Scores, check_images
from scripts.baselines.images.training import Training, count_parameters, make_convolutions, train_network
from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_files import Images
from scripts.errors import InputError


class Classifier(nn.Module):
    """Convolutions, a dense layer with ReLU, and one logit per class.

    Args:
        shape: (C, H, W) of an image.
        layers: (channels, stride) of each 3 x 3 convolution.
        hidden_size: width of the dense layer.
        classes: number of classes.
    """

    def __init__(
        self, shape: Sequence[int], layers: Sequence[Sequence[int]], hidden_size: int, classes: int
    ) -> None:
        super().__init__()
        convolutions = make_convolutions(shape[0], layers)
        size = convolutions(torch.zeros(1, *shape)).numel()
        self.features = nn.Sequential(convolutions, nn.Flatten(), nn.Linear(size, hidden_size), nn.ReLU())
        self.logits = nn.Linear(hidden_size, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of images (B, C, H, W) in [0, 1]."""
        return self.logits(self.features(images))


class CNN:
    """Confidence of a classifier (``max_softmax``, ``energy``).

    Args:
        layers: (channels, stride) of each 3 x 3 convolution.
        hidden_size: width of the dense layer before the logits.
        seed: of the initial weights and the order of the images.
        training: how it is trained; the defaults of :class:`Training` when None.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[int]] = ((32, 2), (64, 2)),
        hidden_size: int = 16,
        seed: int = 0,
        training: Training | None = None,
    ) -> None:
        self.layers = layers
        self.hidden_size = hidden_size
        self.seed = seed
        self.training = training or Training()
        self.network: Classifier | None = None
        self.epochs = 0
        """Epochs trained."""
        self._shape: tuple[int, ...] | None = None

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return count_parameters(self.network)

    def fit(self, split: AnomalySplit) -> None:
        """Train the classifier on the training part, stopped early by the validation part.

        Raises:
            InputError: there is only one inlier class, so nothing to tell apart.
        """
        if len(split.classes) == 1:
            raise InputError("Expected at least 2 inlier classes to classify, got 1; choose Deep SVDD.")
        self._shape = split.train_images.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = Classifier(self._shape, self.layers, self.hidden_size, len(split.classes))
        self.network = network.to(self.training.device)
        self.epochs = train_network(self.network, F.cross_entropy, split, self.training, self.seed)

    def score(self, images: Images) -> Scores:
        """Return ``max_softmax`` and ``energy`` (N,) of the images, see :func:`confidence_scores`."""
        check_images(images, self._shape)
        assert self.network is not None
        return confidence_scores(map_batches(self.network, images, self.training.device))

    def features(self, images: Images) -> NDArray[np.float64]:
        """Return what the dense layer makes of the images: (N, hidden_size), at least 0."""
        check_images(images, self._shape)
        assert self.network is not None
        return map_batches(self.network.features, images, self.training.device)


def confidence_scores(logits: NDArray[np.float64]) -> Scores:
    """Return the scores that only need the logits (N, K), K at least 2.

    ``max_softmax`` is the log odds against the likeliest class, ln((1 - p) / p): it orders images as minus
    the largest probability p does, but has no ties where p rounds to 1. ``energy`` is minus the logsumexp.
    """
    ordered = np.sort(logits, axis=1)
    return {
        "max_softmax": logsumexp(ordered[:, :-1], axis=1) - ordered[:, -1],
        "energy": -logsumexp(ordered, axis=1),
    }
