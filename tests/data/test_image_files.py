from __future__ import annotations

import logging
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from scripts.data.image_files import read_images, read_set
from scripts.errors import InputError


def make_arrays(count=6, shape=(5, 4)):
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(256, size=(count, *shape), dtype=np.uint8),
        "y_train": np.arange(count, dtype=np.uint8) % 3,
        "x_test": generator.integers(256, size=(2, *shape), dtype=np.uint8),
        "y_test": np.array([2, 0], dtype=np.uint8),
    }


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_a_set_is_read_with_channels_first(tmp_path, shape):
    arrays = make_arrays(shape=shape)
    train_images, train_labels, test_images, test_labels = read_set(save(tmp_path / "set.npz", **arrays))
    channels = shape[2] if len(shape) == 3 else 1
    assert (train_images.shape, train_images.dtype) == ((6, channels, 5, 4), np.uint8)
    assert (train_labels.dtype, train_labels.tolist()) == (np.int64, [0, 1, 2, 0, 1, 2])
    assert test_labels.tolist() == [2, 0]
    for channel in range(channels):
        expected = arrays["x_test"].reshape(2, 5, 4, channels)[..., channel]
        assert np.array_equal(test_images[:, channel], expected)


def test_labels_may_be_a_column(tmp_path):
    arrays = make_arrays()
    column = save(tmp_path / "set.npz", **arrays | {"y_train": arrays["y_train"][:, None].astype(np.int32)})
    assert read_set(column)[1].tolist() == arrays["y_train"].tolist()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("x_train", np.zeros((6, 5, 4)), r"x_train of .*set.npz' to be uint8 .* got float64 \(6, 5, 4\)"),
        ("x_train", np.zeros((6, 20), np.uint8), r"x_train .* got uint8 \(6, 20\)"),
        ("x_train", np.zeros((6, 5, 4, 2), np.uint8), r"with 1 or 3 channels, got uint8 \(6, 5, 4, 2\)"),
        ("x_test", np.zeros((0, 5, 4), np.uint8), r"x_test .* got uint8 \(0, 5, 4\)"),
        ("x_test", np.zeros((2, 4, 4), np.uint8), r"x_test .* \(1, 5, 4\) of x_train, got \(1, 4, 4\)"),
        ("y_train", np.zeros(5, np.uint8), r"y_train of .* each of 6 images, got uint8 \(5,\)"),
        ("y_train", np.zeros(6), r"y_train of .* got float64 \(6,\)"),
        ("y_train", np.full(6, -1), r"y_train of .* at least 0"),
        ("y_test", np.array([2, 7]), "y_test of .* classes of y_train only, got 7"),
        ("y_test", np.array([2, None]), "Expected a .npz file of plain arrays, but .*set.npz"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(tmp_path, name, array, message):
    path = save(tmp_path / "set.npz", **make_arrays() | {name: array})
    with pytest.raises(InputError, match=message):
        read_set(path)


def test_a_missing_array_is_named_with_those_found(tmp_path):
    arrays = make_arrays()
    arrays["labels"] = arrays.pop("y_test")
    with pytest.raises(InputError, match="an array y_test in .*found x_train, y_train, x_test, labels"):
        read_set(save(tmp_path / "set.npz", **arrays))


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    whole = save(tmp_path / "whole.npz", **make_arrays(count=600)).read_bytes()
    (tmp_path / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[2000] ^= 0xFF  # a pixel, which only the checksum of the archive knows
    (tmp_path / "damaged.npz").write_bytes(bytes(damaged))
    np.savez_compressed(tmp_path / "deflated.npz", **make_arrays(count=600))
    with zipfile.ZipFile(tmp_path / "deflated.npz") as archive:
        begin = archive.getinfo("x_train.npy").header_offset
    deflated = bytearray((tmp_path / "deflated.npz").read_bytes())
    name_size, extra_size = deflated[begin + 26], deflated[begin + 28]
    deflated[begin + 30 + name_size + extra_size] = 0xFF  # a kind of block that does not exist
    (tmp_path / "deflated.npz").write_bytes(deflated)
    # Both entries of the first file, at its data and at the end, name the method of compression.
    central = whole.index(b"PK\x01\x02")
    strange = bytearray(whole)
    strange[8] = strange[central + 10] = 99
    (tmp_path / "strange.npz").write_bytes(strange)
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "empty.npz").touch()
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        header = (
            b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
        )
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00\x76\x00" + header)
    names = ("truncated", "damaged", "deflated", "strange", "text", "empty", "huge", "missing")
    for path in [tmp_path / f"{name}.npz" for name in names]:
        with pytest.raises(InputError, match=f"of plain arrays, but '{path}' cannot be read"):
            read_set(path)
    np.save(tmp_path / "single.npy", np.zeros(3))
    with pytest.raises(InputError, match="single.npy' holds a single one"):
        read_set(tmp_path / "single.npy")


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((7, 5, 4), (1, 5, 4)), ((7, 1, 5, 4), (1, 5, 4)), ((7, 5, 4, 3), (3, 5, 4)), ((7, 3, 5, 4), (3, 5, 4))],
)
@pytest.mark.parametrize("key", ["images", "x"])
def test_images_of_an_npz_may_have_any_layout(tmp_path, stored, shape, key):
    array = np.random.default_rng(1).integers(256, size=stored, dtype=np.uint8)
    names, images = read_images(save(tmp_path / "mine.npz", **{key: array}), shape)
    assert names == ("0", "1", "2", "3", "4", "5", "6")
    assert images.shape == (7, *shape)
    expected = np.moveaxis(array, 3, 1) if stored[-1] == 3 else array.reshape(7, *shape)
    assert np.array_equal(images, expected)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 5, 4)), np.zeros((2, 4, 5), np.uint8), np.zeros((0, 5, 4), np.uint8)]
)
def test_images_of_another_size_or_type_are_refused(tmp_path, array):
    path = save(tmp_path / "mine.npz", images=array)
    with pytest.raises(InputError, match=r"uint8 images of 1 x 5 x 4 .* in '.*mine.npz', got "):
        read_images(path, (1, 5, 4))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_a_folder_are_read_in_the_order_of_their_names(tmp_path, channels, caplog):
    generator = np.random.default_rng(2)
    pixels = generator.integers(256, size=(3, 5, 4, 3), dtype=np.uint8)
    pixels = pixels if channels == 3 else pixels[..., 0]
    for name, array in zip(("b.png", "a.BMP", "c.png"), pixels, strict=True):
        Image.fromarray(array).save(tmp_path / name)
    (tmp_path / ".hidden.png").write_text("left out without a word")
    (tmp_path / "notes.txt").write_text("left out with a warning")
    with caplog.at_level(logging.WARNING):
        names, images = read_images(tmp_path, (channels, 5, 4))
    assert names == ("a.BMP", "b.png", "c.png")
    expected = pixels[[1, 0, 2]].reshape(3, 5, 4, channels)
    assert np.array_equal(np.moveaxis(images, 1, 3), expected)
    assert "left out 1 entries" in caplog.text
    single, image = read_images(tmp_path / "b.png", (channels, 5, 4))
    assert single == ("b.png",)
    assert np.array_equal(image[0], images[1])


def test_pictures_are_converted_to_the_wanted_channels(tmp_path):
    grey = np.random.default_rng(3).integers(256, size=(5, 4), dtype=np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / "colour.png")
    Image.fromarray(grey).convert("RGBA").save(tmp_path / "opaque.png")
    assert np.array_equal(read_images(tmp_path, (1, 5, 4))[1], np.stack([grey, grey])[:, None])
    Image.fromarray(grey).save(tmp_path / "colour.png")
    assert np.array_equal(read_images(tmp_path / "colour.png", (3, 5, 4))[1][0], np.stack([grey] * 3))


def test_a_picture_that_does_not_fit_is_named(tmp_path):
    Image.new("L", (5, 4)).save(tmp_path / "turned.png")
    Image.new("I;16", (4, 5)).save(tmp_path / "deep.png")
    Image.new("RGBA", (4, 5), (0, 0, 0, 200)).save(tmp_path / "glass.png")
    Image.new("RGB", (40, 50), (9, 99, 199)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:400])
    (tmp_path / "text.png").write_text("no picture")
    whole = (tmp_path / "turned.png").read_bytes()
    # Four bytes before its name, a chunk says how long it is: here too little.
    data = whole.index(b"IDAT")
    (tmp_path / "broken.png").write_bytes(whole[: data - 1] + b"\x02" + whole[data:])
    header = b"IHDR" + struct.pack(">II", 50_000, 50_000) + whole[24:29]
    huge = whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    (tmp_path / "huge.png").write_bytes(huge)
    expected = {
        "turned.png": "of 5 x 4 pixels .*turned.png' has 4 x 5",
        "deep.png": "8 bits a channel, but '.*deep.png' has Pillow's mode I;16",
        "glass.png": "without transparency, but '.*glass.png'",
        "text.png": "Expected a picture, but '.*text.png' cannot be read",
        "huge.png": "Expected a picture, but '.*huge.png' cannot be read",
        "missing.png": "Expected a picture, but '.*missing.png' cannot be read",
    }
    for name, message in expected.items():
        with pytest.raises(InputError, match=message):
            read_images(tmp_path / name, (1, 5, 4))
    with pytest.raises(InputError, match="broken.png' cannot be read .*broken PNG file"):
        read_images(tmp_path / "broken.png", (1, 4, 5))
    with pytest.raises(InputError, match="cut.jpg' cannot be read .*[Tt]runcated"):
        read_images(tmp_path / "cut.jpg", (3, 50, 40))


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"Expected pictures \(.bmp, .jpeg, .jpg, .png\) in '.*', found none"
    ):
        read_images(tmp_path, (1, 5, 4))
