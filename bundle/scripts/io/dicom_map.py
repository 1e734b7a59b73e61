"""A map as a DICOM Parametric Map: 32-bit floats on the grid of the source, which each frame refers to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray

from scripts.io.dicom_compare import check_values, compare, dicom_output
from scripts.io.dicom_source import CODING_SCHEME, RESEARCH, DicomSource
from scripts.io.quantity import Quantity

_WINDOW_PERCENTILE = 99.5


def write_parametric_map(
    values: NDArray[np.float32], source: DicomSource, path: str | Path, quantity: Quantity, position: int
) -> Path:
    """Write one map, atomically, and return ``path``; it is read back and compared before it gets its name.

    Args:
        values: (slices, rows, columns) float32, finite.
        source: what it was made from.
        path: ends in .dcm.
        quantity: what the values are.
        position: of this output among those of the scan.

    Raises:
        ModelError: a value is NaN or infinite, or the shape or dtype is another.
        ResourceError: the file cannot be written, or reads back differently.
    """
    path = Path(path)
    check_values(values, source, path, np.float32)
    with dicom_output(path) as temporary:
        make_map(values, source, quantity, position).save_as(temporary, enforce_file_format=True)
        written = ParametricMap.from_file(temporary)
        volume = written.get_volume(apply_real_world_transform=True, dtype=np.float32)
        compare(written, volume, values, source, path)
    return path


def make_map(
    values: NDArray[np.float32], source: DicomSource, quantity: Quantity, position: int
) -> ParametricMap:
    """Return the Parametric Map in memory, see :func:`write_parametric_map`."""
    low, high = float(values.min()), float(values.max())
    unit = CodedConcept(quantity.ucum, "UCUM", quantity.unit[:64])
    mapping = RealWorldValueMapping(
        lut_label=quantity.label,
        lut_explanation=f"{quantity.title}, {quantity.unit}"[:64],
        unit=unit,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=CodedConcept(quantity.label, CODING_SCHEME, quantity.title[:64]),
    )
    made = ParametricMap(
        source_images=source.datasets,
        pixel_array=source.volume(values),
        contains_recognizable_visual_features=True,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[_window(values)],
        content_label=quantity.label,
        content_description=f"{quantity.title}, research use only"[:64],
        content_qualification=RESEARCH,
        **source.identity(quantity.label, position, f"{quantity.title} (research)"),
    )
    made.BodyPartExamined = "BRAIN"
    return made


def _window(values: NDArray[np.float32]) -> VOILUTTransformation:
    """Return the range viewers show at first: 0 to the 99.5th percentile of the values that are not 0."""
    shown = values[values != 0]
    high = float(np.percentile(shown, _WINDOW_PERCENTILE)) if shown.size else 1.0
    width = float(f"{high:.6g}") if high > 0 else 1.0
    return VOILUTTransformation(
        window_center=float(f"{width / 2:.6g}"), window_width=width, voi_lut_function="LINEAR_EXACT"
    )
