"""Scans with their content hashes: finding one volume twice, and one person on two sides."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from tqdm import tqdm

from scripts.data.hashing import content_hash
from scripts.errors import InputError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One scan of a split."""

    case: str
    patient: str
    sha256: str
    """Content hash (:func:`scripts.data.hashing.content_hash`)."""
    files: str = ""
    """The image files, for error texts."""
    also: tuple[str, ...] = ()
    """Other patients who turned out to be this one: they share a volume."""

    def __str__(self) -> str:
        return f"case '{self.case}'" + (f", {self.files}" if self.files else "")


def hash_scans(scans: Sequence[Mapping]) -> list[Entry]:
    """Return the scans with their content hashes, sorted by case, with a progress bar.

    Raises:
        InputError: A file cannot be read.
    """
    ordered = sorted(scans, key=lambda scan: scan["case"])
    # zlib and hashlib release the GIL, so threads do read in parallel.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        hashes = list(
            tqdm(pool.map(content_hash, ordered), total=len(ordered), desc="Hash scans", unit="scan")
        )
    return [
        Entry(scan["case"], scan["patient"], sha256, _files(scan))
        for scan, sha256 in zip(ordered, hashes, strict=True)
    ]


def drop_duplicates(entries: Sequence[Entry], preferred: Collection[str] = ()) -> list[Entry]:
    """Keep one entry of each volume and warn of the others; patients that share a volume become one.

    Args:
        entries: Scans of one list.
        preferred: Cases that are kept rather than others; otherwise the first by name is.

    Returns:
        The kept entries, sorted by case, with the names that were dropped.
    """
    kept: dict[str, Entry] = {}
    same_person: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: (entry.case not in preferred, entry.case)):
        original = kept.setdefault(entry.sha256, entry)
        if original is entry:
            continue
        logger.warning("one volume is there twice and counted once: %s is the same as %s", entry, original)
        person, alias = (_leader(same_person, one.patient) for one in (original, entry))
        if person != alias:
            same_person[alias] = person
    names: dict[str, set[str]] = {}
    for alias in same_person:
        names.setdefault(_leader(same_person, alias), set()).add(alias)
    merged = []
    for entry in kept.values():
        patient = _leader(same_person, entry.patient)
        merged.append(replace(entry, patient=patient, also=tuple(sorted(names.get(patient, ())))))
    return sorted(merged, key=lambda entry: entry.case)


def check_sides(sides: Mapping[str, Sequence[Entry]], where: str = "") -> None:
    """Refuse a patient or a volume on two sides.

    Args:
        sides: Entries by the name of their side.
        where: Which split it is, for the error text (" of 'split.json'").

    Raises:
        InputError: A patient or a volume is on two sides.
    """
    patients: dict[str, tuple[str, Entry]] = {}
    volumes: dict[str, tuple[str, Entry]] = {}
    for side, entry in pairs(sides):
        other, before = patients.setdefault(entry.patient, (side, entry))
        if other != side:
            raise InputError(
                f"Expected each patient on one side of the split{where}, but '{entry.patient}' is in {other} "
                f"({before}) and in {side} ({entry}); remove one or make a new split."
            )
        other, before = volumes.setdefault(entry.sha256, (side, entry))
        if other != side:
            raise InputError(
                f"Expected each volume on one side of the split{where}, but the same one is in {other} "
                f"({before}) and in {side} ({entry}); remove one or make a new split."
            )


def pairs(sides: Mapping[str, Sequence[Entry]]) -> Iterator[tuple[str, Entry]]:
    """Yield each entry with the name of its side."""
    return ((side, entry) for side, entries in sides.items() for entry in entries)


def _files(scan: Mapping) -> str:
    return scan["image"] if isinstance(scan["image"], str) else ", ".join(scan["image"])


def _leader(same_person: Mapping[str, str], patient: str) -> str:
    while patient in same_person:
        patient = same_person[patient]
    return patient
