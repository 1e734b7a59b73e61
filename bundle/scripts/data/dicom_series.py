"""The series among DICOM files: whose, of which kind, which images; told by pseudonyms, not by names."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import (
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
)

from scripts.data.dicom_files import list_all_files
from scripts.io.dicom_reading import DicomFile, quiet, read_dicom
from scripts.options import Option

MR_IMAGES = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)

KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "ImageType",
    "PatientID",
    "IssuerOfPatientID",
)
"""What is read of every file to sort it."""


class Kind(Option):
    """What a series shows, by its attributes alone."""

    ORIGINAL = "original"
    """MR images as the scanner made them: the only kind that is chosen unasked."""
    DERIVED = "derived"
    """MR images that were computed from others: reformatted, projected, subtracted; taken when named."""
    LOCALIZER = "localizer"
    """A few slices to plan others by; never taken."""
    OTHER = "other"
    """No MR images: another modality, a screenshot, a report; never taken."""


@dataclass(frozen=True)
class Series:
    """One series, and those of its files that are of its kind."""

    key: str
    """Its pseudonym: ``series_`` and 12 digits that the UID gives, but do not give the UID away."""
    uid: str
    study: str
    """Pseudonym of the study."""
    patient: str
    """Pseudonym of the patient."""
    patient_id: str
    number: str
    """As the scanner counts; empty where it does not."""
    description: str
    modality: str
    kind: Kind
    files: tuple[DicomFile, ...]
    left_out: int = 0
    """Files of the series that are of another kind: localizers among images, screenshots."""
    damaged: int = 0
    """DICOM files beside it that cannot be read, whichever series they are of."""

    @property
    def sha256(self) -> str:
        """Hash of the content of the files, whatever their names and order."""
        hashes = []
        for file in self.files:
            with file.open("rb") as stream:
                hashes.append(hashlib.sha256(stream.read()).hexdigest())
        return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()

    @property
    def line(self) -> str:
        """What a person chooses by, without names."""
        return (
            f"{self.key}: number {self.number or '?'}, {self.description or 'no description'!r}, "
            f"{self.modality}, {self.kind.value}, {len(self.files)} files"
        )


@dataclass(frozen=True)
class Listing:
    """What lies in a folder or archive."""

    series: tuple[Series, ...]
    """By patient, study, number."""
    not_dicom: int
    damaged: int


def list_series(root: str | Path) -> Listing:
    """Return the series among the files of a folder or archive.

    Raises:
        InputError: the folder or archive cannot be read.
    """
    headers: dict[str, list[tuple[DicomFile, Dataset]]] = defaultdict(list)
    not_dicom = damaged = 0
    for file in list_all_files(Path(root).expanduser()):
        try:
            header = read_dicom(file, pixels=False, keywords=KEYWORDS)
        except InvalidDicomError:
            not_dicom += 1
            continue
        except Exception:  # of many kinds; the number is told with every series, for a slice may be missing
            damaged += 1
            continue
        if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            continue
        if not header.get("SeriesInstanceUID"):
            damaged += 1
            continue
        headers[str(header.SeriesInstanceUID)].append((file, header))
    with quiet():
        series = [_series(uid, files, damaged) for uid, files in headers.items()]
    return Listing(tuple(sorted(series, key=_order)), not_dicom, damaged)


def pseudonym(kind: str, *identifiers: str) -> str:
    """Return ``<kind>_`` and 12 hexadecimal digits that stand for identifiers.

    >>> pseudonym("series", "1.2.3")
    'series_c47f5b18b8a4'
    """
    return f"{kind}_{hashlib.sha256('|'.join(identifiers).encode()).hexdigest()[:12]}"


def kind_of(header: Dataset) -> Kind:
    """Return what one image shows, by SOP class, modality and image type."""
    words = _text(header, "ImageType").upper().split("\\")
    if header.get("SOPClassUID") not in MR_IMAGES or header.get("Modality") != "MR":
        return Kind.OTHER
    if "LOCALIZER" in words:
        return Kind.LOCALIZER
    return Kind.DERIVED if "DERIVED" in words[:1] or "SECONDARY" in words[1:2] else Kind.ORIGINAL


def _series(uid: str, files: Sequence[tuple[DicomFile, Dataset]], damaged: int) -> Series:
    kinds = Counter(kind_of(header) for _, header in files)
    kind = next(one for one in Kind if kinds[one])  # the members stand in the order of preference
    kept = [(file, header) for file, header in files if kind_of(header) is kind]
    first = kept[0][1]
    patient_id = _text(first, "PatientID")
    return Series(
        key=pseudonym("series", uid),
        uid=uid,
        study=pseudonym("study", _text(first, "StudyInstanceUID")),
        patient=pseudonym("patient", patient_id, _text(first, "IssuerOfPatientID")),
        patient_id=patient_id,
        number=_text(first, "SeriesNumber"),
        description=" ".join(_text(first, "SeriesDescription").split()),
        modality=_text(first, "Modality") or "?",
        kind=kind,
        files=tuple(file for file, _ in kept),
        left_out=len(files) - len(kept),
        damaged=damaged,
    )


def _order(series: Series) -> tuple[str, str, int, str]:
    number = int(series.number) if series.number.lstrip("-").isdigit() else 0
    return series.patient, series.study, number, series.key


def _text(header: Dataset, keyword: str) -> str:
    """Return an attribute as it is written, several values with backslashes, nothing for none."""
    value = header.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(str(one) for one in value)
    return "" if value is None else str(value)
