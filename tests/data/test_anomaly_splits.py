from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from scripts.data.anomaly_splits import (
    AnomalySplit,
    corrupted,
    held_out_class,
    make_split,
    open_set,
    other_set,
    stand_in,
)
from scripts.data.corruptions import corrupt
from scripts.data.image_sets import ImageSet, load_image_set
from scripts.errors import InputError

TRAIN, TEST = 40, 12


@pytest.fixture(scope="module")
def numbered() -> ImageSet:
    """Ten classes; the four pixels of an image say which class, part and image it is."""
    return make_set(tuple(range(10)))


def make_set(classes, train=TRAIN, test=TEST) -> ImageSet:
    parts = []
    for part, count in enumerate((train, test)):
        labels = np.tile(np.array(classes, dtype=np.int64), count)
        images = np.zeros((len(labels), 1, 2, 2), dtype=np.uint8)
        images[:, 0, 0, 0], images[:, 0, 0, 1] = labels, part
        images[:, 0, 1, 0] = np.repeat(np.arange(count), len(classes))
        parts += [images, labels]
    return ImageSet("numbered", *parts)


def keys(images) -> list[tuple[int, int, int]]:
    """Class, part (0 train, 1 test) and number of images."""
    return [tuple(pixels[:3]) for pixels in images.reshape(len(images), -1).tolist()]


def check(split: AnomalySplit, anomalies: set[int]) -> None:
    """What holds for every split of the numbered set whose anomalies are classes."""
    train, validation = keys(split.train_images), keys(split.validation_images)
    test = keys(split.test_images)
    assert len(set(train) | set(validation) | set(test)) == len(train) + len(validation) + len(test)
    assert all(part == 0 and label in split.classes for label, part, _ in train + validation)
    for images, labels in ((train, split.train_labels), (validation, split.validation_labels)):
        assert [split.classes[label] for label in labels] == [key[0] for key in images]
    assert set(Counter(split.validation_labels.tolist()).values()) == {TRAIN // 10}
    assert len(train) + len(validation) == TRAIN * len(split.classes)
    assert split.test_anomalous.tolist() == [key[0] in anomalies for key in test]
    inliers = [(label, key) for label, key in zip(split.test_labels, test, strict=True) if label >= 0]
    assert all(split.classes[label] == key[0] and key[1] == 1 for label, key in inliers)
    for images in (split.train_images, split.validation_images, split.test_images):
        assert images.dtype == np.uint8
    for labels in (split.train_labels, split.validation_labels, split.test_labels):
        assert labels.dtype == np.int64


def same(first: AnomalySplit, second: AnomalySplit) -> bool:
    return all(
        np.array_equal(getattr(first, field.name), getattr(second, field.name))
        for field in dataclasses.fields(AnomalySplit)
    )


@pytest.mark.parametrize("held_out", [0, 3, 9])
def test_the_published_protocol_has_all_images_of_the_class_and_as_many_inliers(numbered, held_out):
    split = held_out_class(numbered, held_out, "published", seed=1)
    check(split, {held_out})
    assert split.name == f"numbered, class {held_out}"
    assert split.classes == tuple(label for label in range(10) if label != held_out)
    anomalies = split.test_images[split.test_anomalous]
    assert Counter(key[1] for key in keys(anomalies)) == {0: TRAIN, 1: TEST}
    assert (~split.test_anomalous).sum() == TRAIN + TEST


def test_the_seed_draws_the_inliers_of_the_published_protocol(numbered):
    drawn = [
        keys(split.test_images[~split.test_anomalous])
        for split in (held_out_class(numbered, 3, "published", seed) for seed in (0, 1))
    ]
    assert drawn[0] != drawn[1]
    assert all({label for label, _, _ in part} == set(range(10)) - {3} for part in drawn)


def test_the_published_protocol_keeps_all_inliers_where_they_are_fewer():
    split = held_out_class(make_set((4, 7)), 4, "published")
    assert split.test_anomalous.tolist() == [False] * TEST + [True] * (TRAIN + TEST)
    assert split.classes == (7,)


def test_test_only_is_the_official_test_part(numbered):
    split = held_out_class(numbered, 3, "test_only", seed=1)
    check(split, {3})
    assert sorted(keys(split.test_images)) == sorted(keys(numbered.test_images))


@pytest.mark.parametrize("draw", range(5))
def test_an_open_set_has_six_known_and_four_unknown_classes(numbered, draw):
    split = open_set(numbered, draw)
    unknown = set(range(10)) - set(split.classes)
    assert (len(split.classes), len(unknown)) == (6, 4)
    assert split.name == "numbered, unknown " + "-".join(str(label) for label in sorted(unknown))
    check(split, unknown)
    assert sorted(keys(split.test_images)) == sorted(keys(numbered.test_images))


def test_the_usual_five_draws_differ_and_stay(numbered):
    names = [open_set(numbered, draw).name.removeprefix("numbered, ") for draw in range(5)]
    assert names == [
        "unknown 0-1-8-9",
        "unknown 3-5-6-9",
        "unknown 1-3-4-8",
        "unknown 3-5-7-8",
        "unknown 3-4-5-6",
    ]


def test_another_set_brings_its_test_images(numbered):
    other = dataclasses.replace(make_set((0, 1), test=5), name="other")
    split = other_set(numbered, other)
    assert (split.name, split.classes) == ("numbered, set other", numbered.classes)
    assert np.array_equal(split.test_images[~split.test_anomalous], numbered.test_images)
    assert np.array_equal(split.test_images[split.test_anomalous], other.test_images)
    assert np.array_equal(split.test_labels[:120], numbered.test_labels)


@pytest.mark.parametrize("shape", [(3, 2, 2), (1, 4, 4)])
def test_another_set_of_another_shape_is_refused(numbered, shape):
    images = np.zeros((4, *shape), dtype=np.uint8)
    other = ImageSet("strange", images, np.arange(4), images, np.arange(4))
    with pytest.raises(InputError, match=r"images of \(1, 2, 2\) \(C, H, W\) as numbered, but strange has"):
        other_set(numbered, other)


def test_corrupted_copies_stand_against_the_same_images():
    digits = load_image_set("digits")
    split = corrupted(digits, "noise", 2, seed=4)
    assert split.name == "digits, noise 2"
    assert np.array_equal(split.test_images[:450], digits.test_images)
    assert np.array_equal(split.test_images[450:], corrupt(digits.test_images, "noise", 2, seed=4))
    assert np.array_equal(split.test_labels[:450], digits.test_labels)
    assert split.test_anomalous.tolist() == [False] * 450 + [True] * 450
    assert len(split.train_images) + len(split.validation_images) == len(digits.train_images)


@pytest.mark.parametrize("anomaly", ["class:2", "open_set:1", "set:digits", "occlusion:3"])
def test_a_split_comes_from_its_seed(anomaly):
    digits = load_image_set("digits")
    first, again, other = (make_split(digits, anomaly, seed=seed) for seed in (0, 0, 1))
    assert same(first, again)
    assert not np.array_equal(first.validation_images, other.validation_images)
    assert first.classes == other.classes


def test_a_config_names_every_split(numbered):
    digits = load_image_set("digits")
    assert same(make_split(numbered, "class:3", seed=2), held_out_class(numbered, 3, "published", 2))
    assert same(make_split(numbered, "class:3", "test_only"), held_out_class(numbered, 3, "test_only"))
    assert same(make_split(numbered, "open_set:4", seed=2), open_set(numbered, 4, 2))
    assert same(make_split(digits, "blur:1", seed=2), corrupted(digits, "blur", 1, 2))
    other = make_set((0, 1))
    given = make_split(numbered, "set:other", seed=2, load={"other": other}.__getitem__)
    assert same(given, other_set(numbered, other, 2))


@pytest.mark.parametrize(
    "anomaly", ["", "class", "class:", "class:x", "class:-1", "class:²", "fog:1", "set:", "open_set", "3"]
)
def test_another_anomaly_is_refused_with_the_forms_there_are(numbered, anomaly):
    forms = (
        r"class:<label>, stand_in:<label>-<other>, open_set:<seed>, set:<name>, rotation:<1-3>, .*, "
        r"noise:<1-3>, got "
    )
    with pytest.raises(InputError, match=forms):
        make_split(numbered, anomaly)


def test_what_a_set_does_not_have_is_refused(numbered):
    with pytest.raises(InputError, match="class to hold out of 0, 1, .*, 9 of numbered.*got 10"):
        make_split(numbered, "class:10")
    with pytest.raises(InputError, match="others to stay, got 5"):
        held_out_class(make_set((5,)), 5)
    with pytest.raises(InputError, match="at least 10 classes .* but numbered has 3"):
        make_split(make_set((1, 2, 3)), "open_set:0")
    with pytest.raises(InputError, match="strength of 1, 2 or 3 .* got 4"):
        make_split(numbered, "blur:4")
    with pytest.raises(InputError, match="protocol out of published, as_coded, test_only, got 'paper'"):
        make_split(numbered, "class:1", "paper")
    with pytest.raises(InputError, match="image set name out of digits"):
        make_split(numbered, "set:letters")
    with pytest.raises(InputError, match="tenth of every class for validation, got 4 of 2 classes"):
        held_out_class(make_set((1, 2, 3), train=2), 1)


def test_a_stand_in_uses_no_test_image_and_nothing_of_the_held_out_class(numbered):
    split = stand_in(numbered, 3, 5)
    parts = [keys(images) for images in (split.train_images, split.validation_images, split.test_images)]
    every = [key for part in parts for key in part]
    assert len(set(every)) == len(every) == 9 * TRAIN
    assert all(part == 0 and label != 3 for label, part, _ in every)
    assert split.classes == (0, 1, 2, 4, 6, 7, 8, 9)
    assert all(label != 5 for label, _, _ in parts[0] + parts[1])
    assert split.test_anomalous.tolist() == [label == 5 for label, _, _ in parts[2]]
    assert Counter(split.test_labels.tolist()) == {-1: TRAIN} | dict.fromkeys(range(8), TRAIN // 10)
    assert same(split, make_split(numbered, "stand_in:3-5"))


@pytest.mark.parametrize("other", [3, 10])
def test_only_another_class_can_stand_in(numbered, other):
    with pytest.raises(InputError, match=f"stand in for class 3, got {other}"):
        stand_in(numbered, 3, other)


def test_as_coded_trains_on_all_inliers_and_stops_by_those_of_the_test(numbered):
    coded, published = (held_out_class(numbered, 3, protocol) for protocol in ("as_coded", "published"))
    assert np.array_equal(coded.test_images, published.test_images)
    assert len(coded.train_images) == len(coded.train_labels) == 9 * TRAIN
    inliers = published.test_images[~published.test_anomalous]
    assert np.array_equal(coded.validation_images, inliers)
    assert (coded.validation_labels >= 0).all()
    assert coded.name == f"{published.name}, stopped by test images"


def test_a_stand_in_uses_neither_a_test_image_nor_the_class_held_out(numbered):
    split = stand_in(numbered, 3, 5, seed=1)
    assert (split.name, split.classes) == ("numbered, class 5 for 3", (0, 1, 2, 4, 6, 7, 8, 9))
    train, validation, test = map(keys, (split.train_images, split.validation_images, split.test_images))
    assert len(set(train) | set(validation) | set(test)) == len(train) + len(validation) + len(test)
    assert all(part == 0 for _, part, _ in train + validation + test)
    # A tenth of every inlier class is the test part, beside all of the class that stands in.
    assert Counter(label for label, _, _ in test) == dict.fromkeys(split.classes, TRAIN // 10) | {5: TRAIN}
    assert len(train) + len(validation) == 8 * (TRAIN - TRAIN // 10)
    assert {label for label, _, _ in train} == {label for label, _, _ in validation} == set(split.classes)
    assert split.test_anomalous.tolist() == [key[0] == 5 for key in test]
    for images, labels in ((train, split.train_labels), (validation, split.validation_labels)):
        assert [split.classes[label] for label in labels] == [key[0] for key in images]
    assert same(split, make_split(numbered, "stand_in:3-5", seed=1))


@pytest.mark.parametrize("other", [3, 10])
def test_what_cannot_stand_in_is_refused(numbered, other):
    with pytest.raises(InputError, match=f"Expected another class of numbered .* class 3, got {other}"):
        stand_in(numbered, 3, other)
    with pytest.raises(InputError, match="to stand in for class 1, got 2"):
        stand_in(make_set((1, 2)), 1, 2)
