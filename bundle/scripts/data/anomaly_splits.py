"""Which images are normal and which are anomalies: held-out or unknown classes, other sets, corruptions.

The anomalies are never in the training or validation part, and validation images come from the training
part of the set only: what is fitted, chosen or stopped has seen neither. (The protocol ``as_coded`` stops by
test inliers, as the authors' code does, to show what that changes.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from scripts.data.corruptions import Corruption, corrupt
from scripts.data.image_files import Images, Labels
from scripts.data.image_sets import ImageSet, load_image_set
from scripts.errors import InputError
from scripts.options import Option

ANOMALY = -1
"""Label of an anomaly."""

VALIDATION = 0.1
"""Share of the training inliers that becomes the validation part."""

KNOWN_CLASSES, UNKNOWN_CLASSES = 6, 4


class Protocol(Option):
    """Which test images of a held-out class count, and how many inliers stand against them."""

    PUBLISHED = "published"
    """All images of the class, of the train and the test part; inlier test images cut to that number."""
    AS_CODED = "as_coded"
    """As ``published``, and as the authors' code: no validation part is held back, and the inlier test images
    decide when training stops."""
    TEST_ONLY = "test_only"
    """The official test part as it is."""


@dataclass(frozen=True)
class AnomalySplit:
    """One anomaly detection problem. Images are uint8 (N, C, H, W), labels (N,) index into ``classes``."""

    name: str
    """Image set and anomaly, in words: ``mnist, class 3``, ``digits, unknown 1-4-6-8``, ``mnist, blur 2``."""
    classes: tuple[int, ...]
    """Inlier classes by their label in the image set, ascending."""
    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    test_images: Images
    test_labels: Labels
    """Index into ``classes``, -1 for an anomaly."""

    @cached_property
    def training_sha256(self) -> str:
        """Hash of the training images: the name of a split does not tell how its seed parted them."""
        return hashlib.sha256(self.train_images.tobytes()).hexdigest()

    @property
    def test_anomalous(self) -> NDArray[np.bool_]:
        """(N,) whether a test image is an anomaly."""
        return self.test_labels == ANOMALY


def held_out_class(
    image_set: ImageSet, held_out: int, protocol: str = Protocol.PUBLISHED, seed: int = 0
) -> AnomalySplit:
    """One class is the anomaly, all others are inliers.

    Args:
        image_set: where all images come from.
        held_out: label of the class that is the anomaly.
        protocol: a value of :class:`Protocol`.
        seed: of the validation part, and of which inlier test images are kept.

    Raises:
        InputError: the set has no such class or protocol, or only one class.
    """
    classes = _without(image_set, held_out)
    protocol = Protocol(protocol)
    anomalies = image_set.test_images[image_set.test_labels == held_out]
    inliers = np.flatnonzero(image_set.test_labels != held_out)
    if protocol is not Protocol.TEST_ONLY:
        anomalies = np.concatenate((image_set.train_images[image_set.train_labels == held_out], anomalies))
        shuffled = np.random.default_rng(seed).permutation(inliers)
        inliers = np.sort(shuffled[: len(anomalies)])
    split = _make(f"class {held_out}", image_set, classes, inliers, anomalies, seed)
    return _stop_by_test(split) if protocol is Protocol.AS_CODED else split


def stand_in(image_set: ImageSet, held_out: int, other: int, seed: int = 0) -> AnomalySplit:
    """Another class stands in for the one held out, to choose settings by: neither is an inlier.

    No test image is used, and none of the held-out class: the test part is a second tenth of the training
    inliers and the training images of the class that stands in.

    Args:
        image_set: where all images come from.
        held_out: label of the class that settings are chosen for.
        other: label of the class that stands in.
        seed: of the parts.

    Raises:
        InputError: the set has no such classes, or they are the same.
    """
    classes = tuple(label for label in _without(image_set, held_out) if label != other)
    if other not in image_set.classes or other == held_out or not classes:
        raise InputError(
            f"Expected another class of {image_set.name} to stand in for class {held_out}, got {other}; "
            "choose one of the inliers."
        )
    anomalies = image_set.train_images[image_set.train_labels == other]
    rest, held_back = _part(image_set, classes, seed + 1)
    reduced = replace(
        image_set,
        train_images=image_set.train_images[rest],
        train_labels=image_set.train_labels[rest],
        test_images=image_set.train_images[held_back],
        test_labels=image_set.train_labels[held_back],
    )
    name = f"class {other} for {held_out}"
    return _make(name, reduced, classes, np.arange(len(held_back)), anomalies, seed)


def open_set(image_set: ImageSet, draw: int, seed: int = 0) -> AnomalySplit:
    """Six known classes are inliers, four unknown ones anomalies; the official test part as it is.

    Args:
        image_set: a set of ten classes or more.
        draw: seed of which classes are unknown; the usual five random splits are 0 to 4.
        seed: of the validation part.

    Raises:
        InputError: the set has too few classes.
    """
    wanted = KNOWN_CLASSES + UNKNOWN_CLASSES
    if len(image_set.classes) < wanted:
        raise InputError(
            f"Expected at least {wanted} classes for {KNOWN_CLASSES} known and {UNKNOWN_CLASSES} unknown "
            f"ones, but {image_set.name} has {len(image_set.classes)}; hold out a class instead."
        )
    drawn = np.random.default_rng(draw).permutation(image_set.classes)[:wanted].tolist()
    known, unknown = sorted(drawn[:KNOWN_CLASSES]), sorted(drawn[KNOWN_CLASSES:])
    inliers = np.flatnonzero(np.isin(image_set.test_labels, known))
    anomalies = image_set.test_images[np.isin(image_set.test_labels, unknown)]
    name = f"unknown {'-'.join(map(str, unknown))}"
    return _make(name, image_set, tuple(known), inliers, anomalies, seed)


def other_set(image_set: ImageSet, other: ImageSet, seed: int = 0) -> AnomalySplit:
    """All classes are inliers, the test images of another set are the anomalies.

    Raises:
        InputError: the images of the other set have another shape.
    """
    if other.shape != image_set.shape:
        raise InputError(
            f"Expected the set of anomalies to have images of {image_set.shape} (C, H, W) as "
            f"{image_set.name}, but {other.name} has {other.shape}; choose a set of that shape."
        )
    inliers = np.arange(len(image_set.test_images))
    return _make(f"set {other.name}", image_set, image_set.classes, inliers, other.test_images, seed)


def corrupted(image_set: ImageSet, corruption: str, strength: int, seed: int = 0) -> AnomalySplit:
    """All classes are inliers, corrupted copies of the same test images are the anomalies.

    Args:
        image_set: where all images come from.
        corruption: a value of :class:`scripts.data.corruptions.Corruption`.
        strength: 1, 2 or 3.
        seed: of the corruption and of the validation part.

    Raises:
        InputError: there is no such corruption or strength.
    """
    anomalies = corrupt(image_set.test_images, corruption, strength, seed)
    inliers = np.arange(len(image_set.test_images))
    return _make(f"{corruption} {strength}", image_set, image_set.classes, inliers, anomalies, seed)


def make_split(
    image_set: ImageSet,
    anomaly: str,
    protocol: str = Protocol.PUBLISHED,
    seed: int = 0,
    load: Callable[[str], ImageSet] = load_image_set,
) -> AnomalySplit:
    """Make the split that a config names.

    Args:
        image_set: where the inliers come from.
        anomaly: ``class:3`` (held out), ``stand_in:3-5`` (class 5 stands in for the held-out class 3, to
            choose settings by), ``open_set:0`` (draw of the unknown classes),
            ``set:fashion_mnist`` (another set) or ``rotation:2`` (corruption and its strength).
        protocol: of a held-out class, a value of :class:`Protocol`.
        seed: of everything else that is drawn.
        load: returns another set by its name.

    Raises:
        InputError: there is no such anomaly.
    """
    kind, _, value = anomaly.partition(":")
    if kind == "set" and value:
        return other_set(image_set, load(value), seed)
    first, _, second = value.partition("-")
    if kind == "stand_in" and first.isdecimal() and second.isdecimal():
        return stand_in(image_set, int(first), int(second), seed)
    # Not isdigit, which takes a superscript for a number that int refuses.
    if value.isdecimal():
        if kind == "class":
            return held_out_class(image_set, int(value), protocol, seed)
        if kind == "open_set":
            return open_set(image_set, int(value), seed)
        if kind in set(Corruption):
            return corrupted(image_set, kind, int(value), seed)
    forms = ", ".join(
        (
            "class:<label>",
            "stand_in:<label>-<other>",
            "open_set:<seed>",
            "set:<name>",
            *(f"{c}:<1-3>" for c in Corruption),
        )
    )
    raise InputError(f"Expected an anomaly of the form {forms}, got {anomaly!r}; choose one of them.")


def _without(image_set: ImageSet, held_out: int) -> tuple[int, ...]:
    """Return the other classes."""
    classes = image_set.classes
    if held_out not in classes or len(classes) == 1:
        raise InputError(
            f"Expected a class to hold out of {', '.join(map(str, classes))} of {image_set.name}, and others "
            f"to stay, got {held_out}; choose one of them."
        )
    return tuple(label for label in classes if label != held_out)


def _make(
    name: str,
    image_set: ImageSet,
    classes: tuple[int, ...],
    inliers: NDArray[np.intp],
    anomalies: Images,
    seed: int,
) -> AnomalySplit:
    """Join inlier test images, by index, with anomalies, and part the training inliers."""
    train, validation = _part(image_set, classes, seed)
    test_labels = np.full(len(inliers) + len(anomalies), ANOMALY, dtype=np.int64)
    test_labels[: len(inliers)] = np.searchsorted(classes, image_set.test_labels[inliers])
    return AnomalySplit(
        name=f"{image_set.name}, {name}",
        classes=classes,
        train_images=image_set.train_images[train],
        train_labels=np.searchsorted(classes, image_set.train_labels[train]),
        validation_images=image_set.train_images[validation],
        validation_labels=np.searchsorted(classes, image_set.train_labels[validation]),
        test_images=np.concatenate((image_set.test_images[inliers], anomalies)),
        test_labels=test_labels,
    )


def _stop_by_test(split: AnomalySplit) -> AnomalySplit:
    inlier = ~split.test_anomalous
    return replace(
        split,
        name=f"{split.name}, stopped by test images",
        train_images=np.concatenate((split.train_images, split.validation_images)),
        train_labels=np.concatenate((split.train_labels, split.validation_labels)),
        validation_images=split.test_images[inlier],
        validation_labels=split.test_labels[inlier],
    )


def _part(
    image_set: ImageSet, classes: tuple[int, ...], seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the training and of the validation inliers, the same share of every class."""
    rows = np.flatnonzero(np.isin(image_set.train_labels, classes))
    labels = image_set.train_labels[rows]
    try:
        train, validation = train_test_split(rows, test_size=VALIDATION, stratify=labels, random_state=seed)
    except ValueError as error:
        raise InputError(
            f"Expected enough training images in {image_set.name} to keep a tenth of every class for "
            f"validation, got {len(rows)} of {len(classes)} classes ({error}); add images."
        ) from error
    return np.sort(train), np.sort(validation)
