"""Room on the disk, looked at before a long computation rather than after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.errors import ResourceError


def check_space(folder: str | Path, needed: int) -> None:
    """Refuse to start when the disk of ``folder`` (which need not exist yet) has too little room.

    Args:
        folder: where files are going to be written.
        needed: bytes, at most.

    Raises:
        ResourceError: less is free.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ResourceError(
            f"{folder}: expected room for {needed / 2**20:.0f} MiB of maps, found {free / 2**20:.0f} MiB; "
            "free space or choose another output folder."
        )
