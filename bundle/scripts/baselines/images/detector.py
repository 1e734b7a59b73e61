"""What every detector of anomalous images offers, and what they share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scripts.data.anomaly_splits import AnomalySplit
from scripts.data.image_files import Images
from scripts.errors import InputError

Scores = dict[str, NDArray[np.float64]]
Pixels = NDArray[np.float32]


class ImageDetector(Protocol):
    """A detector that learns from the inliers of a split and scores images."""

    def fit(self, split: AnomalySplit) -> None:
        """Learn from the training part; the validation part may stop it, the test part is not looked at."""

    def score(self, images: Images) -> Scores:
        """Score images.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            For each score of this detector, by name, (N,) finite values; higher is more abnormal.

        Raises:
            InputError: it has not been fitted, or to images of another shape.
        """


def check_images(images: Images, shape: tuple[int, ...] | None) -> None:
    """Refuse images that a detector cannot score.

    Args:
        images: what it was given.
        shape: (C, H, W) of the images that it was fitted to; None when it has not been fitted.

    Raises:
        InputError: it has not been fitted, or the images are not uint8 (N, C, H, W) of that shape.
    """
    if shape is None:
        raise InputError("Expected a fitted detector, got one without training; call fit first.")
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise InputError(
            f"Expected uint8 images of shape (N, {', '.join(map(str, shape))}), got {images.dtype} "
            f"{images.shape}; give images as the detector was fitted to."
        )


def flatten(images: Images) -> Pixels:
    """Return images (N, C, H, W) as rows of pixels (N, C * H * W) in [0, 1]."""
    pixels: Pixels = images.reshape(len(images), -1).astype(np.float32)
    pixels /= 255
    return pixels
