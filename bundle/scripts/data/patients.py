"""Who a scan belongs to: tables of aliases, and data sets that share patients."""

from __future__ import annotations

import csv
import fnmatch
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.data.layouts_names import patient_of
from scripts.errors import InputError


def load_aliases(path: str | Path) -> dict[str, str]:
    """Read a table of names and the patients they belong to.

    CSV with the columns ``name,patient`` (lines that start with ``#`` are comments), or JSON: an
    object ``{name: patient}`` or a list of ``{"name": ..., "patient": ...}``. A name is a case or a
    patient; it may hold the wildcards ``*`` and ``?``. A patient may itself be a name in the table.

    Args:
        path: The table, ``.csv`` or ``.json``.

    Returns:
        Name to patient, chains followed to their end.

    Raises:
        InputError: The file cannot be read, a cell is empty, a name has two patients, or names lead
            round in a circle.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            f"Expected a table name,patient in '{path}', but it cannot be read ({error})."
        ) from error
    aliases: dict[str, str] = {}
    for number, (name, patient) in enumerate(rows, start=1):
        if not name or not patient:
            raise InputError(
                f"Expected a name and a patient in row {number} of '{path}', but one is empty; fill it."
            )
        if aliases.setdefault(name, patient) != patient:
            raise InputError(
                f"Expected one patient for '{name}' in '{path}', but got '{aliases[name]}' and "
                f"'{patient}'; keep one."
            )
    return {name: _follow(aliases, name) for name in aliases}


def resolve_patient(names: Iterable[str], aliases: Mapping[str, str]) -> str | None:
    """Return the patient of the first of these names that is in the table, exactly or by a wildcard.

    Raises:
        InputError: Wildcards give one name two patients.
    """
    for name in names:
        if name in aliases:
            return aliases[name]
        matches = {aliases[pattern] for pattern in aliases if fnmatch.fnmatchcase(name, pattern)}
        if len(matches) > 1:
            raise InputError(
                f"Expected one patient for '{name}', but wildcards in the table of aliases give "
                f"{' and '.join(sorted(matches))}; make them narrower."
            )
        if matches:
            return matches.pop()
    return None


def apply_aliases(case: str, aliases: Mapping[str, str], *names: str) -> str:
    """Return the patient of a case: by the table, else by the naming scheme, else the case itself.

    Args:
        case: The case.
        aliases: What :func:`load_aliases` returned.
        names: Other names of the case that may stand in the table.
    """
    default = patient_of(case)
    return resolve_patient([case, *names, default], aliases) or default


def _csv_rows(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(lines, skipinitialspace=True)
    if not {"name", "patient"} <= set(reader.fieldnames or ()):
        raise ValueError(f"its columns are {', '.join(reader.fieldnames or ()) or 'missing'}")
    return [((row["name"] or "").strip(), (row["patient"] or "").strip()) for row in reader]


def _json_rows(text: str) -> list[tuple[str, str]]:
    content = json.loads(text)
    if isinstance(content, dict):
        content = [{"name": name, "patient": patient} for name, patient in content.items()]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("neither an object nor a list of objects")
    return [(str(row.get("name") or "").strip(), str(row.get("patient") or "").strip()) for row in content]


def _follow(aliases: Mapping[str, str], name: str) -> str:
    seen = [name]
    while (patient := aliases[seen[-1]]) in aliases and patient != seen[-1]:
        if patient in seen:
            raise InputError(
                f"Expected aliases that end in a patient, but {' -> '.join([*seen, patient])} is a circle; "
                "break it."
            )
        seen.append(patient)
    return aliases[seen[-1]]
