"""Which NIfTI files a folder holds, without hidden ones and without what this tool wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from scripts.data.layouts_names import brain_mask_of, is_nifti, nifti_stem, read_modality
from scripts.errors import InputError

OUTPUT_MAPS = ("anomaly", "epistemic", "aleatoric", "total_uncertainty", "reconstruction", "mask")
"""Last words of the files that inference writes beside ``<case>_result.json``."""
SHOWN = 3


def list_files(folder: Path) -> list[Path]:
    """Return every file below ``folder``, sorted, linked folders included.

    Hidden files and folders (also the ``._*`` files in the Decathlon archives) are left out.

    Raises:
        InputError: A folder cannot be read.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not _is_hidden(name)]
        found += [Path(here, name) for name in files if not _is_hidden(name)]
    return sorted(found)


def list_nifti(folder: Path) -> list[Path]:
    """Return the NIfTI files below ``folder``, sorted, without the maps that inference wrote there."""
    return [path for path in list_files(folder) if is_nifti(path) and not is_output(path)]


def find_brain_masks(scan: Path) -> list[Path]:
    """Return the files beside a scan whose names say that they are its brain mask.

    ``a_t1ce.nii.gz`` has ``a_t1ce_brain_mask.nii.gz`` or ``a_brain_mask.nii.gz``.
    """
    stem = nifti_stem(scan)
    owners = {stem.casefold(), read_modality(stem)[1].casefold()}
    names = {path: brain_mask_of(path) for path in sorted(scan.parent.iterdir()) if is_nifti(path)}
    return [path for path, owner in names.items() if owner is not None and owner.casefold() in owners]


def is_output(path: Path) -> bool:
    """Tell whether inference wrote this file: ``<case>_<map>`` beside ``<case>_result.json``."""
    stem = nifti_stem(path)
    return any(
        stem.endswith(f"_{name}") and path.with_name(f"{stem[: -len(name) - 1]}_result.json").is_file()
        for name in OUTPUT_MAPS
    )


def describe_files(paths: Iterable[Path], folder: Path) -> str:
    """Return up to three names relative to ``folder``, and how many more there are.

    >>> describe_files([Path("/d/a.txt"), Path("/d/b/c.txt")], Path("/d"))
    'a.txt, b/c.txt'
    """
    names = [path.relative_to(folder).as_posix() for path in paths]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "no file"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _refuse(error: OSError) -> None:
    raise InputError(
        f"Expected a folder that can be read, but '{error.filename}' cannot ({error.strerror}); "
        "check the path and its permissions."
    ) from error
