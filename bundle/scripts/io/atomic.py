"""Files that appear whole or not at all: write beside the target, flush to disk, rename."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from scripts.errors import BundleError, InputError, ModelError, ResourceError

RESOURCE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
PATH_ERRORS = {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
UNFINISHED = ".tmp-"
"""What the names of files begin with that are being written."""


def full_suffix(path: str | Path) -> str:
    """Return the suffix of a file name, both parts of a compressed one, letter case kept.

    >>> full_suffix("sub-01.v2.NII.GZ"), full_suffix("a.b/model.pt"), full_suffix("README")
    ('.NII.GZ', '.pt', '')
    """
    path = Path(path)
    if path.suffix.lower() == ".gz":
        return path.with_suffix("").suffix + path.suffix
    return path.suffix


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path; rename what was written there to ``final`` when the block succeeds.

    The temporary file is hidden, lies in the folder of ``final`` (a rename across file systems is not
    atomic), has its full suffix (so that nibabel compresses) and a name unique to this call (so that
    two runs in one folder do not clash). A failing block leaves neither file; a file that already had
    the name ``final`` stays as it was. Missing parent folders are made.

    Args:
        final: The name that the finished file gets.

    Raises:
        ResourceError: The disk is full, or the folder or file may not be written.
        InputError: ``final`` is a folder, or one of its parents is a file.
    """
    final = Path(final)
    temporary = final.with_name(f"{UNFINISHED}{os.getpid()}-{uuid4().hex}{full_suffix(final)}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, final)
        _flush_folder(final.parent)
    except (OSError, RuntimeError) as error:
        known = _explain(error, final, temporary)
        if known is None:
            raise
        raise known from error
    finally:
        _remove(temporary)


def remove_unfinished(folder: str | Path) -> None:
    """Remove the temporary files of runs that were killed, from a folder in which no other run is writing."""
    for path in Path(folder).glob(f"{UNFINISHED}*"):
        _remove(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write ``text`` as UTF-8 with Unix line ends, atomically, and return the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(path)


def write_json(path: str | Path, data: Any) -> Path:  # noqa: ANN401 - JSON holds anything
    """Write ``data`` as JSON (insertion order, indent 2), atomically, and return the path.

    NumPy scalars and arrays become numbers and lists, paths become text.

    Raises:
        ModelError: A number is NaN or infinite; the message names its place in ``data``.
    """
    place = _find_not_finite(data)
    if place is not None:
        raise ModelError(
            f"{Path(path).name}: expected finite numbers, given NaN or infinity at '{place}'; "
            "store null with a reason instead"
        )
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False, default=to_plain)
    return write_text(path, text + "\n")


def save_torch(path: str | Path, obj: Any) -> Path:  # noqa: ANN401 - as torch.save
    """Save ``obj`` with ``torch.save``, atomically, and return the path."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save(obj, file)
    return Path(path)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets a folder be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    # On a file system that became read-only the clean-up fails too; the first error is the useful one.
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _explain(error: BaseException, final: Path, temporary: Path) -> BundleError | None:
    """Return the sentence for an error about the output; None for an error about something else.

    torch.save hides a full disk behind a RuntimeError, so the chain of errors is searched.
    """
    ours = {str(path) for path in (final, temporary, *final.parents)}
    while not isinstance(error, OSError):
        following = error.__cause__ or error.__context__
        if following is None:
            return None
        error = following
    if error.filename is not None and str(error.filename) not in ours:
        return None
    reason = error.strerror or type(error).__name__
    if error.errno in RESOURCE_ERRORS:
        return ResourceError(f"{final}: cannot be written ({reason}); free space or choose another folder")
    # Where no folder can be made (/proc); a temporary file that was never written is a bug instead.
    no_folder = error.errno == errno.ENOENT and str(error.filename) != str(temporary)
    if error.errno in PATH_ERRORS or no_folder:
        return InputError(f"{final}: expected a path for a new file, given one that cannot be it ({reason})")
    return None


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON holds anything
    """Return NumPy values and paths as JSON data: the ``default`` hook of json.dumps."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"expected JSON data, given {type(value).__name__}")


def _find_not_finite(value: object, place: str = "") -> str | None:
    """Return the dotted place of the first NaN or infinity, depth first, or None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list | tuple):
        children = list(enumerate(value))
    else:
        return None
    found = (_find_not_finite(child, f"{place}.{key}".lstrip(".")) for key, child in children)
    return next((place for place in found if place is not None), None)
