"""Scans that come as lists, in place of a folder and its split: MONAI Label gives paths, and no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from scripts.data.hashing import content_hash
from scripts.data.layouts_names import nifti_stem, patient_of, safe_name
from scripts.io.digest import file_sha256
from scripts.io.split_file import read_split_file

Records = Sequence[Mapping[str, Any]]


def name_scan(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scan record with ``case`` and ``patient``; where it has none, its file's name gives them."""
    case = record.get("case") or safe_name(nifti_stem(ensure_tuple(record["image"])[0]))
    return {"case": case, "patient": patient_of(case), **record}


def scans_sha256(split_file: str | Path, training: Records, validation: Records) -> str:
    """Return a hash of which scans a run uses: of its split file, or of given lists where they are not its.

    Args:
        split_file: of the run, if it has one.
        training: records of scans.
        validation: records of scans.
    """
    sides = {"training": training, "validation": validation}
    path = Path(split_file)
    if path.is_file():
        split = read_split_file(path)
        if all(_cases(split[side]) == _cases(records) for side, records in sides.items()):
            return file_sha256(path)
    hashes = {side: sorted(content_hash(record) for record in records) for side, records in sides.items()}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def name_source(dataset_dir: str | Path, scans: Records, modalities: Sequence[str]) -> str:
    """Return in words what scans a network was trained on: the name of their folder, and the modalities.

    Args:
        dataset_dir: folder of the data set.
        scans: records; those of a list may lie elsewhere.
        modalities: names of the channels, in order.
    """
    folder = Path(dataset_dir).expanduser().absolute()
    image = Path(ensure_tuple(scans[0]["image"])[0]).absolute() if scans else folder
    inside = image.is_relative_to(folder)
    return f"{(folder if inside else image.parent).name}, {'+'.join(modalities)}"


def _cases(records: Records) -> set[str]:
    return {str(record.get("case")) for record in records}
