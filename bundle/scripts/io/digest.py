"""The SHA-256 of a file: how inputs, weights and outputs are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

from scripts.errors import InputError


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, read in blocks, 64 hexadecimal digits.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"Expected a file that can be read, but '{path}' cannot ({error.strerror})."
        ) from error
