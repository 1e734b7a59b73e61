"""What the folder of a training tells of its weights: their settings, and the scans they have seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from scripts.io.digest import file_sha256
from scripts.io.split_file import read_split_file, split_patients, split_volumes

SEEN = ("training", "validation")


@dataclass(frozen=True)
class SeenScans:
    """Scans that weights were trained or chosen on, by both names that a scan may be known by again."""

    patients: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    """SHA-256 of their voxels."""

    def __or__(self, other: SeenScans) -> SeenScans:
        return SeenScans(self.patients | other.patients, self.volumes | other.volumes)


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the weights in a run's folder depend on, {} where it does not hold them."""
    path = folder / "resume.pt"
    if not path.is_file():
        return {}
    # Mapped into memory: the optimiser's moments beside them are a hundred megabytes.
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["fingerprint"])


def own_scans(folder: Path) -> SeenScans | None:
    """Return the scans a run was trained or chosen on, None where its folder does not tell.

    Only the ``split.json`` that the run's settings name by its hash tells: another one is of another run, or
    was drawn after the training.
    """
    path = folder / "split.json"
    if not path.is_file() or read_settings(folder).get("split") != file_sha256(path):
        return None
    split = read_split_file(path)
    return SeenScans(frozenset(split_patients(split, *SEEN)), frozenset(split_volumes(split, *SEEN)))


def tested_again(split_file: str | Path, seen: SeenScans) -> set[str]:
    """Return the test patients of a split that were seen, be it under another name; none without a file."""
    if not Path(split_file).is_file():
        return set()
    return {
        str(row["patient"])
        for row in read_split_file(split_file)["test"]
        if seen.patients & {row["patient"], *row.get("also", ())} or str(row["image_sha256"]) in seen.volumes
    }


def inherited_scans(settings: Mapping[str, Any]) -> SeenScans | None:
    """Return the scans behind the weights that a run with these settings started from, None if unknown."""
    initial = settings.get("initial_weights", {"patients": [], "volumes": []})
    if initial["patients"] is None:
        return None
    return SeenScans(frozenset(initial["patients"]), frozenset(initial["volumes"]))
