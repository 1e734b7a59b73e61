"""Reading one DICOM file, from a folder or an archive, without a word about people."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset

DicomFile = Path | zipfile.Path
"""A file of a folder, or a member of an archive."""

_SILENT = logging.CRITICAL + 1


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom and highdicom: their warnings and log lines quote names and identifiers of patients."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(_SILENT)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def read_dicom(file: DicomFile, pixels: bool = True, keywords: Sequence[str] | None = None) -> FileDataset:
    """Return the data set of a file.

    Args:
        file: of a folder or an archive.
        pixels: False stops before the pixel data.
        keywords: read only these attributes.

    Raises:
        pydicom.errors.InvalidDicomError: not a DICOM file.
        Exception: of many kinds, for a damaged one.
    """
    with file.open("rb") as stream, quiet():
        return pydicom.dcmread(
            stream, stop_before_pixels=not pixels, specific_tags=None if keywords is None else list(keywords)
        )
