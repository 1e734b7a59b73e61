from __future__ import annotations

from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.datasets import load_digits

from scripts.data import image_sets
from scripts.data.image_sets import ImageSetName, load_image_set
from scripts.errors import InputError, ResourceError


def test_the_digits_need_no_network_and_are_split_alike_every_time():
    digits = load_image_set("digits")
    assert (digits.shape, digits.classes) == ((1, 8, 8), tuple(range(10)))
    assert digits.train_images.dtype == digits.test_images.dtype == np.uint8
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int64
    assert (len(digits.train_images), len(digits.test_images)) == (1347, 450)
    share = np.bincount(digits.test_labels) / np.bincount(load_digits().target)
    np.testing.assert_allclose(share, 0.25, atol=0.01)
    again = load_image_set("digits")
    assert np.array_equal(digits.test_images, again.test_images)


def test_the_digits_use_the_whole_range_and_every_image_once():
    digits = load_image_set("digits")
    ours = np.concatenate((digits.train_images, digits.test_images)).reshape(-1, 64)
    theirs = np.round(load_digits().data * 255 / 16).astype(np.uint8)
    assert (ours.min(), ours.max()) == (0, 255)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))


def fake_openml(calls, rows, shape, seed=0):
    """A double of the fetcher: pixels of 64 bits and labels as texts, as OpenML has them."""

    def fetch(name, **arguments):
        calls.append((name, arguments))
        generator = np.random.default_rng(seed)
        data = generator.integers(256, size=(rows, int(np.prod(shape))))
        return SimpleNamespace(data=data, target=generator.integers(10, size=rows).astype(str).astype(object))

    return fetch


@pytest.mark.parametrize(
    ("name", "openml", "shape"),
    [
        ("mnist", "mnist_784", (1, 4, 5)),
        ("fashion_mnist", "Fashion-MNIST", (1, 4, 5)),
        ("cifar10", "CIFAR_10", (3, 4, 5)),
    ],
)
def test_a_download_is_split_as_it_officially_is(monkeypatch, tmp_path, name, openml, shape):
    source = image_sets._DOWNLOADS[ImageSetName(name)]
    assert source.train == (50_000 if name == "cifar10" else 60_000)
    # The same counts of smaller images, to keep the test light.
    small = image_sets._Download(source.name, source.version, shape, source.train, source.test)
    monkeypatch.setitem(image_sets._DOWNLOADS, ImageSetName(name), small)
    calls, rows = [], source.train + 10_000
    monkeypatch.setattr(image_sets, "fetch_openml", fake_openml(calls, rows, shape))
    image_set = load_image_set(name, cache_dir=tmp_path)
    assert calls == [
        (openml, {"version": 1, "data_home": tmp_path, "parser": "auto", "as_frame": False}),
    ]
    found = fake_openml([], rows, shape)(name)
    assert image_set.name == name
    assert image_set.train_images.shape == (source.train, *shape)
    assert image_set.train_images.dtype == np.uint8
    both = np.concatenate((image_set.train_images, image_set.test_images))
    assert np.array_equal(both.reshape(rows, -1), found.data)
    labels = np.concatenate((image_set.train_labels, image_set.test_labels))
    assert labels.tolist() == [int(label) for label in found.target]


@pytest.mark.parametrize("error", [URLError("no route"), ValueError("md5"), TimeoutError("slow")])
def test_a_failed_download_says_how_to_give_a_file(monkeypatch, error):
    def fail(name, **arguments):
        raise error

    monkeypatch.setattr(image_sets, "fetch_openml", fail)
    with pytest.raises(ResourceError, match=r"download 'mnist_784' .*a .npz file with x_train, y_train"):
        load_image_set("mnist")


def test_a_download_of_another_size_is_refused(monkeypatch):
    monkeypatch.setattr(image_sets, "fetch_openml", fake_openml([], 100, (1, 28, 28)))
    with pytest.raises(InputError, match=r"70000 rows of 784 pixels in 'Fashion-MNIST' .*got \(100, 784\)"):
        load_image_set("fashion_mnist")


def test_a_file_may_have_any_name_and_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.delattr(image_sets, "fetch_openml")
    digits = load_image_set("digits")
    np.savez(
        tmp_path / "own.npz",
        x_train=digits.train_images[:, 0],
        y_train=digits.train_labels,
        x_test=digits.test_images[:, 0],
        y_test=digits.test_labels,
    )
    own = load_image_set("my digits", file=tmp_path / "own.npz")
    assert own.name == "my digits"
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(own, part), getattr(digits, part))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        InputError, match="image set name out of digits, mnist, fashion_mnist, cifar10, got 'm'"
    ):
        load_image_set("m")
