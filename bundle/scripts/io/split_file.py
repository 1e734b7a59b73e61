"""The file of a patient-level split: read in one place, whoever asks for its patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.errors import InputError

VERSION = 1
PARTS = ("training", "validation", "test")
_KEYS = ("case", "patient", "image_sha256")


def read_split_file(path: str | Path) -> dict[str, Any]:
    """Return a split file's content: ``version``, ``seed``, ``fractions``, and the rows of each part.

    Raises:
        InputError: the file cannot be read, or is no split of this version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a split as JSON in '{path}', but it cannot be read ({error}); "
            "delete it to make a new one."
        ) from error
    has_keys = isinstance(content, dict) and {"seed", "fractions"} <= set(content)
    if (
        not has_keys
        or content.get("version") != VERSION
        or not all(isinstance(content.get(part), list) for part in PARTS)
    ):
        raise InputError(
            f"Expected a split of version {VERSION} with lists {', '.join(PARTS)} in '{path}', but it is "
            "none; delete it to make a new one."
        )
    for part in PARTS:
        _check_rows(path, content[part])
    return content


def split_patients(split: dict[str, Any], *parts: str) -> set[str]:
    """Return the patients in parts of the content of a split file, by all their names."""
    rows = [row for part in parts for row in split[part]]
    return {str(name) for row in rows for name in (row["patient"], *row.get("also", ()))}


def split_volumes(split: dict[str, Any], *parts: str) -> set[str]:
    """Return the SHA-256 of the volumes in parts of the content of a split file."""
    return {str(row["image_sha256"]) for part in parts for row in split[part]}


def _check_rows(path: str | Path, rows: list[Any]) -> None:
    for row in rows:
        if not isinstance(row, dict) or not row.keys() >= set(_KEYS):
            raise InputError(
                f"Expected rows with {', '.join(_KEYS[:-1])} and {_KEYS[-1]} in '{path}', but got {row}; "
                "delete the file to make a new split."
            )
