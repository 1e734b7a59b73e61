"""An output as it reads back, beside what was to be written: whose it is, where it lies, what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import Volume
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from scripts.errors import BundleError, InputError, ModelError, ResourceError
from scripts.io.atomic import atomic_path
from scripts.io.dicom_reading import quiet
from scripts.io.dicom_source import DicomSource

SAME_PLACE_MM = 1e-3


@contextmanager
def dicom_output(path: Path) -> Iterator[Path]:
    """Yield a temporary path as :func:`atomic_path`; errors of pydicom and highdicom lose their text.

    That text may quote what stands in the source, and so name people.

    Raises:
        InputError: the output cannot be made.
    """
    try:
        with quiet(), atomic_path(path) as temporary:
            yield temporary
    except (BundleError, OSError):
        raise
    except Exception as error:
        raise InputError(
            f"{path.name}: cannot be made from the attributes of the series ({type(error).__name__}); "
            "correct or anonymise them, or report it."
        ) from error


def check_values(values: NDArray[Any], source: DicomSource, path: Path, dtype: type) -> None:
    """Refuse an array that is not one volume of finite numbers on the grid of the source.

    Raises:
        ModelError: which it is.
    """
    shape = source.geometry.spatial_shape
    if values.shape != shape or values.dtype != dtype:
        raise ModelError(
            f"{path.name}: expected values of shape {shape} and type {np.dtype(dtype)}, "
            f"given {values.shape} of {values.dtype}"
        )
    if not np.isfinite(values).all():
        raise ModelError(f"{path.name}: expected finite values, given NaN or infinity; nothing is written")


def compare(written: Dataset, volume: Volume, values: NDArray[Any], source: DicomSource, path: Path) -> None:
    """Compare an output as read back with its source: person, study, frame of reference, place, values.

    Raises:
        ResourceError: they differ.
    """
    check_identity(written, source, path)
    if str(written.FrameOfReferenceUID) != str(source.geometry.frame_of_reference_uid):
        raise ResourceError(_differs(path, "frame of reference"))
    if volume.spatial_shape != source.geometry.spatial_shape:
        raise ResourceError(_differs(path, "grid"))
    corners = np.array(list(product(*((0, length - 1) for length in volume.spatial_shape))))
    places = volume.map_indices_to_reference(corners)
    distance = np.linalg.norm(places - source.geometry.map_indices_to_reference(corners), axis=1).max()
    if distance > SAME_PLACE_MM:
        raise ResourceError(_differs(path, f"position ({distance:.3g} mm off)"))
    if not np.array_equal(volume.array, values):
        raise ResourceError(_differs(path, "content"))


def check_identity(written: Dataset, source: DicomSource, path: Path) -> None:
    """Compare whose an output is, and of which study, with its source.

    Raises:
        ResourceError: they differ.
    """
    for keyword, expected in source.whose.items():
        if str(written.get(keyword) or "") != expected:
            raise ResourceError(_differs(path, keyword))


def _differs(path: Path, what: str) -> str:
    return f"{path}: reads back with another {what} than was written; check the disk, or report it"
