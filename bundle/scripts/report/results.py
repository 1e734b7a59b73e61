"""The results file: one row per data set, modality, configuration, score and seeds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from scripts.errors import InputError
from scripts.io.atomic import write_text

TRIVIAL = "trivial"
"""Value of ``configuration`` for the baselines without a model; ``score`` names the baseline."""

KEY = ("dataset", "modality", "configuration", "score", "seed", "split_seed")
"""What makes a row unique. The seeds are left empty where chance plays no part."""

MEASUREMENT = tuple(column for column in KEY if column != "score")
"""Columns that tell measurements apart: one gives every score of a model, or of what needs none."""

_INTERVALS = (
    "auroc_balanced",
    "ap_balanced",
    "auroc_matched",
    "auroc_patient",
    "ap_patient",
    "false_alarm_rate",
    "false_alarms_per_scan",
)
COLUMNS = (
    *KEY,
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
)
"""Columns of the file, in its order; further ones follow as they come."""

Row = dict[str, str]


def read_rows(csv_path: str | Path, key: Sequence[str] = KEY) -> list[Row]:
    """Return the rows of a results file as text, "" where there is no value.

    Args:
        csv_path: the file.
        key: columns that have to be there.

    Raises:
        InputError: there is no such file, it is no table, or a column of :data:`KEY` is missing.
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
    missing = [column for column in key if column not in header]
    if missing:
        raise InputError(f"{path}: expected columns {', '.join(key)}, got none of {', '.join(missing)}.")
    longer = next((line for line, row in enumerate(rows, start=2) if None in row), None)
    if longer is not None:
        raise InputError(f"{path}: expected {len(header)} values a line, got more in line {longer}.")
    return rows


def append_rows(
    csv_path: str | Path,
    rows: Iterable[Mapping[str, Any]],
    key: Sequence[str] = KEY,
    columns: Sequence[str] = COLUMNS,
    replace: bool = True,
    measurement: Sequence[str] = (),
) -> None:
    """Add rows to a results file, in place of rows with the same key; made when absent.

    The file is replaced as a whole, so a reader sees all rows or none; one writer at a time.

    Args:
        csv_path: the file.
        rows: columns and values. None becomes an empty cell, numbers keep six digits; every column of
            the key has to be there.
        key: columns that make a row unique.
        columns: of the file, in its order; further ones follow as they come.
        replace: False leaves rows that are there as they are.
        measurement: columns that tell measurements apart, where ``rows`` are all there is of each: what
            the file has of one from before, and they have not, goes.

    Raises:
        InputError: a column of the key is missing, or a number is NaN or infinite.
    """
    path = Path(csv_path)
    known = {_identify(row, key): row for row in read_rows(path, key)} if path.is_file() else {}
    added: dict[tuple[str, ...], Row] = {}
    for row in rows:
        missing = [column for column in key if column not in row]
        if missing:
            raise InputError(f"Expected {', '.join(key)} in a results row, got none of {', '.join(missing)}.")
        text = {column: _to_text(column, value) for column, value in row.items()}
        added[_identify(text, key)] = text
    if measurement:
        again = {_identify(text, measurement) for text in added.values()}
        known = {
            place: row
            for place, row in known.items()
            if place in added or _identify(row, measurement) not in again
        }
    known = known | added | ({} if replace else known)
    further = dict.fromkeys(column for row in known.values() for column in row if column not in columns)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*columns, *further], restval="", lineterminator="\n")
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
