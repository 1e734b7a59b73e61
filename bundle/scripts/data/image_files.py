"""Small images from files: a labelled set from one ``.npz``, a user's own from a ``.npz`` or pictures."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.errors import InputError

logger = logging.getLogger(__name__)

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Shape = tuple[int, int, int]

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp"}
MODES = {1: "L", 3: "RGB"}
"""Pillow's name for 8-bit pictures of one and of three channels."""


def read_set(path: str | Path) -> tuple[Images, Labels, Images, Labels]:
    """Read a labelled set with its own split into train and test.

    Args:
        path: a ``.npz`` with ``x_train`` and ``x_test``, uint8 (N, H, W) or (N, H, W, C), and ``y_train``
            and ``y_test``, whole numbers (N,) or (N, 1).

    Returns:
        Training images (N, C, H, W), their labels (N,), test images and their labels.

    Raises:
        InputError: the file is not there, is no such file, or does not fit itself.
    """
    arrays = _read_arrays(Path(path))
    parts: dict[str, tuple[Images, Labels]] = {}
    for part in ("train", "test"):
        images = _channels_first(_pick(arrays, (f"x_{part}",), path), f"x_{part}", path)
        labels = _check_labels(_pick(arrays, (f"y_{part}",), path), len(images), f"y_{part}", path)
        parts[part] = images, labels
    (train_images, train_labels), (test_images, test_labels) = parts["train"], parts["test"]
    if train_images.shape[1:] != test_images.shape[1:]:
        raise InputError(
            f"Expected x_test of '{path}' to have the shape {train_images.shape[1:]} of x_train, got "
            f"{test_images.shape[1:]}; give both (C, H, W) alike."
        )
    unknown = np.setdiff1d(test_labels, train_labels)
    if unknown.size:
        raise InputError(
            f"Expected y_test of '{path}' to hold classes of y_train only, got {unknown[0]}; "
            "give training images of it or leave its test images out."
        )
    return train_images, train_labels, test_images, test_labels


def read_images(path: str | Path, shape: Shape) -> tuple[tuple[str, ...], Images]:
    """Read a user's own images, without labels.

    Pictures of another colour mode are converted to grey or to RGB, whichever ``shape`` says.

    Args:
        path: a ``.npz`` with ``images`` or ``x``, uint8 (N, H, W), (N, C, H, W) or (N, H, W, C); a picture
            (PNG, JPEG, BMP); or a folder of pictures, which are taken in the order of their names.
        shape: wanted (C, H, W).

    Returns:
        A name for every image (file name, or index in the ``.npz``), and the images (N, C, H, W).

    Raises:
        InputError: nothing is there, or a file is damaged or of another shape or type.
    """
    path = Path(path)
    if path.is_dir():
        files = _find_pictures(path)
    elif path.suffix.lower() in PICTURE_SUFFIXES:
        files = [path]
    else:
        array = _pick(_read_arrays(path), ("images", "x"), path)
        return tuple(str(index) for index in range(len(array))), _fit(array, shape, path)
    return tuple(file.name for file in files), np.stack([_read_picture(file, shape) for file in files])


def _read_arrays(path: Path) -> dict[str, NDArray]:
    """Return all arrays of a ``.npz`` file, none of which may be a pickled object."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(
                f"Expected a .npz file with named arrays, but '{path}' holds a single one; use numpy.savez."
            )
        with loaded:
            return dict(loaded)
    # RuntimeError: encrypted or compressed in an unknown way. MemoryError: a damaged shape.
    except (OSError, EOFError, ValueError, RuntimeError, MemoryError, BadZipFile, zlib.error) as error:
        raise InputError(
            f"Expected a .npz file of plain arrays, but '{path}' cannot be read ({error}); "
            "check the path or make the file again with numpy.savez."
        ) from error


def _pick(arrays: dict[str, NDArray], names: tuple[str, ...], path: str | Path) -> NDArray:
    """Return the first array that is there by one of these names."""
    for name in names:
        if name in arrays:
            return arrays[name]
    raise InputError(
        f"Expected an array {' or '.join(names)} in '{path}', found {', '.join(arrays) or 'no array'}; "
        "rename it."
    )


def _channels_first(array: NDArray, name: str, path: str | Path) -> Images:
    """Return images (N, H, W) or (N, H, W, C) as (N, C, H, W)."""
    is_image = array.ndim == 3 or (array.ndim == 4 and array.shape[3] in MODES)
    if array.dtype != np.uint8 or not is_image or array.size == 0:
        raise InputError(
            f"Expected {name} of '{path}' to be uint8 of shape (N, H, W) or (N, H, W, C) with 1 or 3 "
            f"channels, got {array.dtype} {array.shape}; convert it."
        )
    return np.ascontiguousarray(array[:, None] if array.ndim == 3 else np.moveaxis(array, 3, 1))


def _check_labels(array: NDArray, count: int, name: str, path: str | Path) -> Labels:
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(
            f"Expected {name} of '{path}' to hold a whole number of at least 0 for each of {count} images, "
            f"got {array.dtype} {array.shape}; check the file."
        )
    return labels.astype(np.int64)


def _fit(array: NDArray, shape: Shape, path: Path) -> Images:
    """Return the images as (N, C, H, W), whichever of the three layouts they came in."""
    channels, height, width = shape
    if array.dtype == np.uint8 and array.ndim >= 3 and len(array):
        if array.shape[1:] == shape:
            return array
        if array.shape[1:] == (height, width, channels):
            return np.ascontiguousarray(np.moveaxis(array, 3, 1))
        if channels == 1 and array.shape[1:] == (height, width):
            return array[:, None]
    raise InputError(
        f"Expected uint8 images of {channels} x {height} x {width} (channels, height, width) in '{path}', "
        f"got {array.dtype} {array.shape}; convert them, or choose a model of their size."
    )


def _find_pictures(folder: Path) -> list[Path]:
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    pictures = [path for path in visible if path.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise InputError(
            f"Expected pictures ({', '.join(sorted(PICTURE_SUFFIXES))}) in '{folder}', found none; "
            "check the folder."
        )
    if len(pictures) < len(visible):
        logger.warning(
            "left out %d entries of '%s' that are no picture", len(visible) - len(pictures), folder
        )
    return pictures


def _read_picture(path: Path, shape: Shape) -> Images:
    """Return one picture as (C, H, W)."""
    channels, height, width = shape
    try:
        with Image.open(path) as picture:
            # Known from the header, so that a huge picture is refused before its pixels are read.
            if (picture.height, picture.width) != (height, width):
                raise InputError(
                    f"Expected a picture of {height} x {width} pixels (height x width), but '{path}' has "
                    f"{picture.height} x {picture.width}; resize it."
                )
            _check_mode(picture, path)
            pixels = np.asarray(picture.convert(MODES[channels]))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"Expected a picture, but '{path}' cannot be read ({error}); copy it again."
        ) from error
    return pixels[None] if channels == 1 else np.moveaxis(pixels, 2, 0)


def _check_mode(picture: Image.Image, path: Path) -> None:
    """Refuse what a conversion to 8 bits would clip, and transparency, which it would ignore."""
    if picture.mode not in {"1", "L", "LA", "P", "RGB", "RGBA", "YCbCr", "CMYK"}:
        raise InputError(
            f"Expected a picture of 8 bits a channel, but '{path}' has Pillow's mode {picture.mode}; "
            "convert it."
        )
    lowest_alpha, _ = picture.convert("RGBA").getchannel("A").getextrema()
    if lowest_alpha != 255:
        raise InputError(
            f"Expected a picture without transparency, but '{path}' has some; save it on a plain background."
        )
