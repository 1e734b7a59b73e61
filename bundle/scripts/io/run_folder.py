"""What the folder of a training tells of its weights: their settings, and the patients they have seen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the weights in a run's folder depend on, {} where it does not hold them."""
    path = folder / "resume.pt"
    if not path.is_file():
        return {}
    # Mapped into memory: the optimiser's moments beside them are a hundred megabytes.
    return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["fingerprint"])


def own_patients(folder: Path) -> set[str] | None:
    """Return the patients a run was trained or chosen on, None where its folder has no ``split.json``."""
    return split_patients(folder / "split.json", "training", "validation")


def split_patients(path: Path, *parts: str) -> set[str] | None:
    """Return the patients of parts of a split file, None where there is no file."""
    if not path.is_file():
        return None
    split = json.loads(path.read_text(encoding="utf-8"))
    return {row["patient"] for part in parts for row in split[part]}


def inherited_patients(settings: Mapping[str, Any]) -> set[str] | None:
    """Return the patients behind the weights that a run with these settings started from, None if unknown."""
    initial = settings.get("initial_weights", {"patients": []})
    return None if initial["patients"] is None else set(initial["patients"])
