"""The files of a folder, or of a zip archive that is read in place: nothing of it is ever unpacked."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import psutil

from scripts.data.layouts_files import list_files
from scripts.errors import InputError, ResourceError
from scripts.io.dicom_reading import DicomFile

_ENCRYPTED = 0x1


def list_all_files(root: Path) -> list[DicomFile]:
    """Return every file below a folder or in an archive, in the order of their names; or the one file.

    Raises:
        InputError: nothing there, a damaged or protected archive, or one with members that point outside.
    """
    if not root.exists():
        raise InputError(f"Expected a folder or zip archive of DICOM, but '{root}' does not exist; check it.")
    if root.is_dir():
        return list(list_files(root))
    named_zip = root.suffix.lower() == ".zip"
    return list_members(root) if named_zip or zipfile.is_zipfile(root) else [root]


def list_members(path: Path) -> list[DicomFile]:
    """Return the files of a zip archive in the order of their names, hidden ones left out.

    Raises:
        InputError: as :func:`list_all_files`.
        ResourceError: a member is larger than memory.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: expected a sound zip archive ({error}); copy it again.") from error
    members = archive.infolist()
    for position, member in enumerate(members):
        _check_member(path.name, position, member)
    _check_memory(path.name, members)
    names = sorted(member.filename for member in members if not member.is_dir())
    return [zipfile.Path(archive, at=name) for name in names if not _is_hidden(name)]


def _check_member(archive: str, position: int, member: zipfile.ZipInfo) -> None:
    """Refuse members that point outside of the archive. They are told by position: names may name people."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    outside = name.is_absolute() or ".." in name.parts or PureWindowsPath(member.filename).drive
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(
            f"{archive}: expected files inside of the archive, but its entry {position + 1} points outside "
            "of it or is a link; do not trust it, ask for the archive again."
        )
    if member.flag_bits & _ENCRYPTED:
        raise InputError(
            f"{archive}: expected an archive without password, but its entry {position + 1} needs one; "
            "unpack it first."
        )


def _check_memory(archive: str, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a member that is larger than memory when unpacked; reading stops at the size it declares."""
    largest = max((member.file_size for member in members), default=0)
    free = psutil.virtual_memory().available
    if largest > free:
        raise ResourceError(
            f"{archive}: expected files that fit into memory, found one of {largest / 2**30:.1f} GiB with "
            f"{free / 2**30:.1f} GiB free; do not trust it, or unpack it first."
        )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
