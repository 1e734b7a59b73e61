"""The CL-VAE, and the plain VAE, as a detector that learns from a split and scores images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_batches import ImageBatches
from scripts.engines.member_training import MemberTrainer, TrainingSettings
from scripts.errors import InputError
from scripts.latent.evidence import Evidence, Images
from scripts.latent.member import Member, describe_training
from scripts.latent.scores import LatentScore, anomaly_scores
from scripts.networks.clvae import CLVAE, shuffled_order

NetworkFactory = Callable[..., CLVAE]


class CLVAEDetector:
    """One member: a network of its own weights, order of classes, batches and latent draws.

    Args:
        network: makes the network; gets ``classes``, ``in_channels``, ``image_size`` and ``order``.
        settings: of the training.
        seed: of everything random.
        follow: see :class:`MemberTrainer`.
    """

    def __init__(
        self,
        network: NetworkFactory,
        settings: TrainingSettings,
        seed: int = 0,
        follow: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.network, self.settings = network, settings
        self.seed, self.follow = int(seed), follow
        self.history: list[dict[str, Any]] = []
        self._member: Member | None = None

    @property
    def member(self) -> Member:
        """The trained member.

        Raises:
            InputError: before :meth:`fit`.
        """
        if self._member is None:
            raise InputError("Expected a trained detector, got one that is not; call fit first.")
        return self._member

    @property
    def epochs(self) -> int:
        """Epochs trained, those after the best one too."""
        return len(self.history)

    @property
    def best_loss(self) -> float:
        """Validation loss of the epoch whose weights are kept."""
        return min(row["validation_loss"] for row in self.history)

    @property
    def parameters(self) -> int:
        """Number of trained values."""
        return sum(one.numel() for one in self.member.network.parameters())

    def fit(self, split: AnomalySplit) -> None:
        """Train on the training inliers of ``split`` and stop by its validation inliers."""
        device, size = self.settings.device, self.settings.batch_size
        network = self.build(split)
        trainer = MemberTrainer(network, self.settings, self.seed, self.follow)
        self.history = trainer.fit(
            ImageBatches(split.train_images, split.train_labels, size, self.seed, device),
            ImageBatches(split.validation_images, split.validation_labels, 512, device=device, shuffle=False),
        )
        facts = {"classes": [str(one) for one in split.classes], "split": split.name, "seed": self.seed}
        facts["training_sha256"] = split.training_sha256
        training = (split.train_images, split.train_labels)
        self._member = describe_training(network, training, split.validation_images, facts, device)

    def build(self, split: AnomalySplit) -> CLVAE:
        """Return the untrained network for the images and classes of ``split``."""
        classes, (channels, size) = len(split.classes), split.train_images.shape[1:3]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return self.network(
                classes=classes,
                in_channels=channels,
                image_size=size,
                order=shuffled_order(classes, self.seed),
            )

    def evidence(self, images: Images) -> Evidence:
        """Return what the member says of uint8 images (N, C, H, W)."""
        return self.member.evidence(images, self.settings.device)

    def score(self, images: Images) -> dict[str, NDArray[np.float64]]:
        """Return every :class:`LatentScore` of uint8 images (N, C, H, W), each (N,)."""
        evidence, validation = [self.evidence(images)], [self.member.validation]
        return {str(score): anomaly_scores(evidence, score, validation) for score in LatentScore}
