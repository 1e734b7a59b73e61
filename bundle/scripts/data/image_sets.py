"""Labelled sets of small images with their official split: MNIST, Fashion-MNIST, CIFAR-10, digits."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from scripts.data.image_files import Images, Labels, Shape, read_set
from scripts.errors import InputError, ResourceError
from scripts.options import Option


class ImageSetName(Option):
    """Image sets that need no file."""

    DIGITS = "digits"
    """Digits of 8 x 8 pixels that come with scikit-learn: no download; a quarter is the test part."""
    MNIST = "mnist"
    """Digits, 28 x 28, 60,000 and 10,000; downloaded."""
    FASHION_MNIST = "fashion_mnist"
    """Clothes, 28 x 28, 60,000 and 10,000; downloaded."""
    CIFAR10 = "cifar10"
    """Photos of animals and vehicles, 3 x 32 x 32, 50,000 and 10,000; downloaded."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images and their official split, uint8."""

    name: str
    train_images: Images
    """(N, C, H, W)."""
    train_labels: Labels
    """(N,), at least 0."""
    test_images: Images
    """(M, C, H, W)."""
    test_labels: Labels
    """(M,), classes of the training images only."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Labels that occur, in ascending order."""
        return tuple(np.unique(self.train_labels).tolist())

    @property
    def shape(self) -> Shape:
        """(C, H, W) of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class _Download:
    """What OpenML calls a set, and what is in it; the training images come first there."""

    name: str
    version: int
    shape: Shape
    train: int
    test: int


_DOWNLOADS = {
    ImageSetName.MNIST: _Download("mnist_784", 1, (1, 28, 28), 60_000, 10_000),
    ImageSetName.FASHION_MNIST: _Download("Fashion-MNIST", 1, (1, 28, 28), 60_000, 10_000),
    ImageSetName.CIFAR10: _Download("CIFAR_10", 1, (3, 32, 32), 50_000, 10_000),
}


def load_image_set(
    name: str, file: str | Path | None = None, cache_dir: str | Path | None = None
) -> ImageSet:
    """Load an image set.

    Args:
        name: a value of :class:`ImageSetName`; with ``file`` any name, which only labels results.
        file: a ``.npz`` as :func:`scripts.data.image_files.read_set` takes it, instead of a download.
        cache_dir: folder that scikit-learn keeps downloads in; its own (in the home folder) when None.

    Raises:
        InputError: there is no such set, or the file is malformed.
        ResourceError: the download failed.
    """
    if file is not None:
        return ImageSet(name, *read_set(file))
    known = ImageSetName(name)
    return _load_digits() if known is ImageSetName.DIGITS else _download(known, cache_dir)


def _load_digits() -> ImageSet:
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=0)
    return ImageSet(ImageSetName.DIGITS.value, images[train], labels[train], images[test], labels[test])


def _download(name: ImageSetName, cache_dir: str | Path | None) -> ImageSet:
    source = _DOWNLOADS[name]
    advice = f"give the set as a .npz file with x_train, y_train, x_test and y_test instead of '{name}' alone"
    try:
        found = fetch_openml(
            source.name, version=source.version, data_home=cache_dir, parser="auto", as_frame=False
        )
    except (OSError, ValueError, HTTPException, EOFError, zlib.error) as error:
        raise ResourceError(
            f"Expected to download '{source.name}' from OpenML, but it failed ({error}); "
            f"check the connection, or {advice}."
        ) from error
    return _split(name, found.data, found.target, advice)


def _split(name: ImageSetName, data: np.ndarray, target: np.ndarray, advice: str) -> ImageSet:
    """Make a set of rows of pixels (N, C * H * W), channel by channel, and labels (N,), texts or numbers."""
    source = _DOWNLOADS[name]
    expected = source.train + source.test, int(np.prod(source.shape))
    if data.shape != expected or target.shape != expected[:1]:
        raise InputError(
            f"Expected {expected[0]} rows of {expected[1]} pixels in '{source.name}' of OpenML, got "
            f"{data.shape}; empty the download folder, or {advice}."
        )
    images = data.astype(np.uint8).reshape(-1, *source.shape)
    labels = target.astype(np.int64)
    train, test = slice(source.train), slice(source.train, None)
    return ImageSet(name.value, images[train], labels[train], images[test], labels[test])
