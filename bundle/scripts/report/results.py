"""Results files: their columns, how rows are added, and how they are read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from scripts.errors import InputError
from scripts.io.atomic import write_text

TRIVIAL = "trivial"
"""Value of ``configuration`` for the baselines without a model; ``score`` names the baseline."""


@dataclass(frozen=True)
class Schema:
    """Columns of a results file."""

    key: tuple[str, ...]
    """What makes a row unique; first in the file."""
    parts: tuple[str, ...]
    """Those of the key that tell the rows of one measurement apart, which come together."""
    values: tuple[str, ...]
    """What follows the key; further ones follow as they come."""

    @property
    def measurement(self) -> tuple[str, ...]:
        """Columns of the key that tell measurements apart."""
        return tuple(column for column in self.key if column not in self.parts)


_INTERVALS = (
    "auroc_balanced",
    "ap_balanced",
    "auroc_matched",
    "auroc_patient",
    "ap_patient",
    "false_alarm_rate",
    "false_alarms_per_scan",
)
DETECTION = Schema(
    key=("dataset", "modality", "configuration", "score", "seed", "split_seed"),
    parts=("score",),
    values=(
        *(metric + end for metric in _INTERVALS for end in ("", "_low", "_high")),
        "ap_pixel",
        "pixel_prevalence",
        "patients_test",
        "slices_normal",
        "slices_abnormal",
        "patients_train",
        "slices_train",
        "epochs",
        "minutes",
        "machine",
        "commit",
        "undefined",
    ),
)
"""Of ``detection.csv``: a measurement gives every score of a model, or of what needs none. The seeds are left
empty where chance plays no part."""

Row = dict[str, str]


def read_rows(csv_path: str | Path, schema: Schema = DETECTION) -> list[Row]:
    """Return the rows of a results file as text, "" where there is no value.

    Args:
        csv_path: the file.
        schema: its columns; those of the key have to be there.

    Raises:
        InputError: there is no such file, it is no table, or a column of the key is missing.
    """
    path = Path(csv_path)
    if not path.is_file():
        raise InputError(f"{path}: expected a results file, found none; evaluate a model first.")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            rows, header = list(reader), reader.fieldnames or ()
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a table of comma-separated values, got {error}.") from error
    missing = [column for column in schema.key if column not in header]
    if missing:
        expected = ", ".join(schema.key)
        raise InputError(f"{path}: expected columns {expected}, got none of {', '.join(missing)}.")
    longer = next((line for line, row in enumerate(rows, start=2) if None in row), None)
    if longer is not None:
        raise InputError(f"{path}: expected {len(header)} values a line, got more in line {longer}.")
    return rows


def append_rows(
    csv_path: str | Path,
    rows: Iterable[Mapping[str, Any]],
    schema: Schema = DETECTION,
    replace: bool = True,
) -> None:
    """Add whole measurements to a results file, in place of all it has of them; made when absent.

    The file is replaced as a whole, so a reader sees all rows or none; one writer at a time.

    Args:
        csv_path: the file.
        rows: columns and values, all rows of each measurement: what the file has of one from before, and
            they have not, goes. None becomes an empty cell, numbers keep six digits.
        schema: columns of the file; those of the key have to be in every row.
        replace: False leaves rows of the same key as they are.

    Raises:
        InputError: a column of the key is missing, or a number is NaN or infinite.
    """
    path, key, measurement = Path(csv_path), schema.key, schema.measurement
    known = {_identify(row, key): row for row in read_rows(path, schema)} if path.is_file() else {}
    added: dict[tuple[str, ...], Row] = {}
    for row in rows:
        missing = [column for column in key if column not in row]
        if missing:
            raise InputError(f"Expected {', '.join(key)} in a results row, got none of {', '.join(missing)}.")
        text = {column: _to_text(column, value) for column, value in row.items()}
        added[_identify(text, key)] = text
    again = {_identify(text, measurement) for text in added.values()}
    known = {
        place: row
        for place, row in known.items()
        if place in added or _identify(row, measurement) not in again
    }
    known = known | added | ({} if replace else known)
    columns = dict.fromkeys([*key, *schema.values, *(column for row in known.values() for column in row)])
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(known.values())
    write_text(path, buffer.getvalue())


def _identify(row: Mapping[str, str], key: Sequence[str]) -> tuple[str, ...]:
    return tuple(row[column] for column in key)


def _to_text(column: str, value: object) -> str:
    """Write one value of a results row."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        raise InputError(
            f"Expected a finite number or None for {column}, got {value}; store the reason instead."
        )
    return f"{value:.6g}"
