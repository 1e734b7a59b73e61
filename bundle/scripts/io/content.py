"""The bytes of a file, decompressed where its content (not its name) says that it is compressed."""

from __future__ import annotations

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a cut or damaged compressed file raises."""
_CHUNK = 2**20


def is_compressed(path: Path) -> bool:
    """Tell whether the file begins as a gzip file does."""
    with path.open("rb") as file:
        return file.read(2) == GZIP_MAGIC


def open_content(path: Path) -> BufferedIOBase:
    """Open a file for its decompressed bytes."""
    return gzip.GzipFile(path) if is_compressed(path) else path.open("rb")


def content_bytes(path: Path) -> int:
    """Return how many decompressed bytes can be read, from a damaged file too."""
    count = 0
    with open_content(path) as file:
        try:
            # Unlike read, read1 hands out what there is before it meets the damage.
            while chunk := file.read1(_CHUNK):
                count += len(chunk)
        except DAMAGE:
            return count
    return count


def read_to_end(file: BufferedIOBase) -> None:
    """Read what is left: only at its end does a compressed file's checksum show that it is whole."""
    while file.read(_CHUNK):
        pass
