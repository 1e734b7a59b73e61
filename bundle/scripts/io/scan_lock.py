"""One run at a time in the folder of a scan: two would leave the maps of both under the result of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from scripts.errors import InputError, ResourceError
from scripts.io.atomic import remove_unfinished

LOCKS = ".locks"
"""Folder in the output folder, of empty files."""


@contextmanager
def scan_lock(output_dir: str | Path, case: str) -> Iterator[None]:
    """Hold the outputs of a scan for this run, and remove what a killed one was writing.

    The system lets go of the lock when a run is killed.

    Args:
        output_dir: The folder that holds one folder per case.
        case: The scan.

    Raises:
        InputError: Another run holds them.
        ResourceError: The output folder cannot be written.
    """
    # The lock stays: where one run removed it, a second could hold the removed one and a third a new one.
    path = Path(output_dir) / LOCKS / f"{case}.lock"
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{Path(output_dir) / case}: expected no other run in this folder, found one that is writing it; "
            "wait for its end or choose another output folder"
        ) from error
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error.strerror}); check the folder.") from error
    try:
        remove_unfinished(Path(output_dir) / case)
        yield
    finally:
        lock.release()
