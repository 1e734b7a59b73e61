"""Checks on a file before its header is understood: is it there, is it NIfTI, is its name true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.io.atomic import full_suffix
from scripts.io.content import DAMAGE, is_compressed, open_content
from scripts.io.geometry import HEADER_BYTES
from scripts.preflight.report import Level, Report, refuse

_BEGINNINGS = ((b"<", "HTML or XML"), (b"{", "JSON"), (b"PK", "a zip archive"))
_DICOM = slice(128, 132)


def check_readable(path: Path) -> Report | None:
    """Refuse a path that is missing, a folder or not readable."""
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return refuse(
            "readable",
            f"expected a file that can be read at '{path}', found none ({reason})",
            "check path and permissions",
        )


def check_magic(path: Path) -> Report | None:
    """Refuse what does not begin as a NIfTI-1 or NIfTI-2 file, and say what it begins as."""
    try:
        with open_content(path) as file:
            start = file.read(HEADER_BYTES)
    except (OSError, *DAMAGE) as error:
        return _not_nifti(f"a compressed file that cannot be read ({error})")
    if start[344:347] == b"n+1" or start[4:7] == b"n+2":
        return None
    return _not_nifti(_describe(start))


def check_suffix(path: Path) -> Report | None:
    """Warn of a compressed file without ``.gz`` in its name, and the reverse; content decides."""
    named, compressed = full_suffix(path).lower() == ".nii.gz", is_compressed(path)
    if named == compressed:
        return None
    is_, suffix = ("is", ".nii.gz") if compressed else ("is not", ".nii")
    return Report(
        "suffix",
        Level.WARNING,
        f"expected a name that fits the content, which {is_} compressed",
        f"read by its content; rename it to end in {suffix}",
    )


FILE_CHECKS: tuple[Callable[[Path], Report | None], ...] = (check_readable, check_magic, check_suffix)


def _not_nifti(found: str) -> Report:
    return refuse("magic", f"not a NIfTI file, but {found}", "give a .nii or .nii.gz file, or convert it")


def _describe(start: bytes) -> str:
    if not start:
        return "an empty file"
    if start[_DICOM] == b"DICM":
        return "DICOM"
    if start[344:347] == b"ni1" or start[4:7] == b"ni2":
        return "the header of an Analyze pair (.hdr and .img)"
    known = [name for beginning, name in _BEGINNINGS if start.lstrip().startswith(beginning)]
    if known:
        return known[0]
    return "text" if start.isascii() and b"\0" not in start else f"{len(start)} bytes of something else"
