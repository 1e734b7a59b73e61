"""What the folder of a training tells of its weights: their settings, and the patients they have seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from scripts.io.digest import file_sha256
from scripts.io.split_file import read_split_file, split_patients


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the weights in a run's folder depend on, {} where it does not hold them."""
    path = folder / "resume.pt"
    if not path.is_file():
        return {}
    # Mapped into memory: the optimiser's moments beside them are a hundred megabytes.
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["fingerprint"])


def own_patients(folder: Path) -> set[str] | None:
    """Return the patients a run was trained or chosen on, None where its folder does not tell.

    Only the ``split.json`` that the run's settings name by its hash tells: another one is of another run, or
    was drawn after the training.
    """
    path = folder / "split.json"
    if not path.is_file() or read_settings(folder).get("split") != file_sha256(path):
        return None
    return split_patients(read_split_file(path), "training", "validation")


def inherited_patients(settings: Mapping[str, Any]) -> set[str] | None:
    """Return the patients behind the weights that a run with these settings started from, None if unknown."""
    initial = settings.get("initial_weights", {"patients": []})
    return None if initial["patients"] is None else set(initial["patients"])
