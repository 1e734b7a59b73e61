"""Split files as a training leaves them, of patients with one scan each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from scripts.io.digest import file_sha256


def write_split(
    folder: Path, training: Iterable[str] = (), validation: Iterable[str] = (), test: Iterable[str] = ()
) -> str:
    """Write ``split.json`` with these patients into a folder; return its hash, as a run keeps it."""
    sides = {"training": training, "validation": validation, "test": test}
    rows = {
        part: [{"case": name, "patient": name, "image_sha256": f"voxels of {name}"} for name in names]
        for part, names in sides.items()
    }
    path = folder / "split.json"
    path.write_text(json.dumps({"version": 1, "seed": 0, "fractions": [0.65, 0.15, 0.2], **rows}))
    return file_sha256(path)
