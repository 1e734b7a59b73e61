"""Patient-level split into training, validation and test, kept in a file."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.data.splits_assign import assign_patients
from scripts.data.splits_entries import Entry, check_sides, drop_duplicates, hash_scans, pairs
from scripts.errors import InputError
from scripts.io.atomic import write_json
from scripts.io.split_file import PARTS, VERSION, read_split_file

logger = logging.getLogger(__name__)

SHOWN = 3


@dataclass(frozen=True)
class Split:
    """Scan records (:func:`scripts.data.datalist.find_scans`) by what they are for, sorted by case."""

    training: list[dict]
    validation: list[dict]
    test: list[dict]
    seed: int = 0
    """That it was drawn with, as its file says."""
    also: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """Other names of its patients, where two turned out to be one: they share a volume."""


def load_or_make_split(
    scans: Sequence[dict],
    split_file: str | Path,
    fractions: Sequence[float] = (0.65, 0.15, 0.20),
    seed: int = 0,
) -> Split:
    """Return the split in ``split_file``; make it and write the file where there is none.

    All scans of a patient are on one side. A volume that is in the list twice is counted once, with a
    warning, and patients that share a volume are kept on one side. A file that is there is used as it
    is, with a warning when ``fractions`` or ``seed`` are not those it was made with.

    The file is JSON: ``version``, ``seed``, ``fractions``, and for each part a list of ``{"case",
    "patient", "image_sha256"}``, with ``"also"`` where the patient has other names. The hashes are of the
    wanted modalities' voxels, so another choice of modalities needs another file.

    Args:
        scans: Scan records with aliases applied.
        split_file: Path of the JSON file; missing parent folders are made.
        fractions: Share of the patients for training, validation and test; sum 1, 0 for an empty part.
        seed: Seed of the shuffle, at least 0.

    Raises:
        InputError: A patient or a volume is on two sides, the file does not fit the scans or is
            damaged, a scan cannot be read, or there are fewer patients than parts.
        ResourceError: The file cannot be written.
    """
    path = Path(split_file)
    _check_scans(scans)
    content = read_split_file(path) if path.exists() else None
    entries = hash_scans(scans)
    drawn_with = seed if content is None else int(content["seed"])
    if content is not None:
        sides = _fit(path, content, entries)
        _warn_of_other_settings(path, content, fractions, seed)
    else:
        sides = _make(entries, fractions, seed)
        write_json(path, _to_json(sides, fractions, seed))
    by_case = {scan["case"]: scan for scan in scans}
    # With the patients of the entries: those that share a volume are one.
    parts = {
        part: [by_case[entry.case] | {"patient": entry.patient} for entry in sides[part]] for part in PARTS
    }
    also = {entry.patient: entry.also for _, entry in pairs(sides) if entry.also}
    return Split(**parts, seed=drawn_with, also=also)


def _check_scans(scans: Sequence[dict]) -> None:
    if not scans:
        raise InputError("Expected scans to split, but got an empty list; check the folder and the modality.")
    case, times = Counter(scan["case"] for scan in scans).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"Expected each case once in the list of scans, but '{case}' is there {times} times."
        )


def _make(entries: Sequence[Entry], fractions: Sequence[float], seed: int) -> dict[str, list[Entry]]:
    entries = drop_duplicates(entries)
    part_of = assign_patients([entry.patient for entry in entries], fractions, seed)
    return {part: [entry for entry in entries if part_of[entry.patient] == part] for part in PARTS}


def _fit(path: Path, content: Mapping, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the sides that the content of a file gives the scans, after every check."""
    where = f" in '{path}'"
    scans = {entry.case: entry for entry in entries}
    listed = {part: [_listed(row, scans) for row in content[part]] for part in PARTS}
    check_sides(listed, where)
    _check_same_cases(path, listed, scans)
    cases = {entry.case for _, entry in pairs(listed)}
    kept = {entry.case: entry for entry in drop_duplicates(entries, cases)}
    _check_no_more(path, [case for case in kept if case not in cases])
    sides = {part: [kept[entry.case] for entry in listed[part] if entry.case in kept] for part in PARTS}
    # Again with the patients of today: the table of aliases may have grown since.
    check_sides(sides, where)
    return sides


def _warn_of_other_settings(path: Path, content: Mapping, fractions: Sequence[float], seed: int) -> None:
    if content["seed"] != seed or content["fractions"] != [float(share) for share in fractions]:
        logger.warning(
            "the split in '%s' is used as it is (seed %s, fractions %s), not made with seed %s, fractions %s",
            *(path, content["seed"], content["fractions"], seed, list(fractions)),
        )


def _listed(row: Mapping[str, Any], scans: Mapping[str, Entry]) -> Entry:
    """Return one row of the file as an entry, with the file names of the scan if it is there."""
    case, patient, sha256 = (str(row[key]) for key in ("case", "patient", "image_sha256"))
    return Entry(case, patient, sha256, scans[case].files if case in scans else "")


def _check_same_cases(path: Path, listed: Mapping[str, Sequence[Entry]], scans: Mapping[str, Entry]) -> None:
    """Refuse cases that the file lists twice, that are gone from the folder, or whose voxels changed."""
    seen: set[str] = set()
    for side, entry in pairs(listed):
        if entry.case in seen:
            raise InputError(
                f"Expected each case once in '{path}', but '{entry.case}' is there again in {side}."
            )
        seen.add(entry.case)
        if entry.case not in scans:
            raise InputError(
                f"Expected the scans that '{path}' lists, but case '{entry.case}' ({side}) is not in "
                "the folder; put it back or use another split file."
            )
        if scans[entry.case].sha256 != entry.sha256:
            raise InputError(
                f"Expected the scans that '{path}' was made with, but the voxels of {entry} ({side}) have "
                "changed; put the old file back or use another split file."
            )


def _check_no_more(path: Path, cases: Sequence[str]) -> None:
    if cases:
        names = ", ".join(f"'{case}'" for case in cases[:SHOWN])
        more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
        raise InputError(
            f"Expected only the scans that '{path}' lists, but the folder also has {names}{more}; "
            "take them away or use another split file."
        )


def _to_json(sides: Mapping[str, Sequence[Entry]], fractions: Sequence[float], seed: int) -> dict:
    lists = {side: [_to_row(entry) for entry in entries] for side, entries in sides.items()}
    return {"version": VERSION, "seed": seed, "fractions": [float(share) for share in fractions], **lists}


def _to_row(entry: Entry) -> dict[str, Any]:
    also = {"also": list(entry.also)} if entry.also else {}
    return {"case": entry.case, "patient": entry.patient, "image_sha256": entry.sha256, **also}
