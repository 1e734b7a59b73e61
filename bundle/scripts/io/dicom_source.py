"""What an output takes over from its source series: patient, study, frame of reference and grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from highdicom import ContentQualificationValues, Volume, VolumeGeometry
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

import scripts
from scripts.io.dicom_planes import is_multi_frame, planes_of, stack_geometry

EMPTY_WHEN_ABSENT = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Whose and which study: every DICOM object must have them, if need be empty."""

TAKEN_OVER = (
    *EMPTY_WHEN_ABSENT,
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "ImageType",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "DimensionOrganizationSequence",
    "DimensionIndexSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""Physicians, institution, device, comments, ethnic group and private elements stay behind."""

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyID", "AccessionNumber")
"""What no output may have otherwise than its source."""

RESEARCH = ContentQualificationValues.RESEARCH
MANUFACTURER = "Brain-MRI anomaly bundle maintainers"
MODEL = "Brain-MRI anomaly bundle"
CODING_SCHEME = "99BRAINANOMALY"
_NAMESPACE = UUID("6f3d2a52-5d0b-4f57-9a6e-0c0f6a1f7d11")


@dataclass(frozen=True)
class DicomSource:
    """The source of a scan's outputs."""

    datasets: tuple[Dataset, ...]
    """Headers with no more than what outputs take over, in the order of the slices."""
    geometry: VolumeGeometry
    """(slices, rows, columns)."""
    whose: Mapping[str, str]
    """Who and which study it is, as text: highdicom's objects share their elements with ``datasets``."""
    series_number: int
    """0 where the scanner does not count."""
    run: str
    """Everything that decides the content of the outputs, as text: it gives them their UIDs."""
    device: str
    """What made them: digits of the weights' hash."""

    @classmethod
    def from_headers(
        cls, headers: Sequence[Dataset], series_number: int, run: str, device: str
    ) -> DicomSource:
        """Take over from headers that have passed the checks, in any order; see the fields."""
        planes = planes_of(headers)
        geometry = stack_geometry(planes)
        ordered = list(headers)
        if len(headers) > 1:
            ordered = [headers[i] for i in sorted(range(len(planes)), key=lambda i: planes[i].along)]
        reduced = tuple(_reduce(header, geometry.spacing_between_slices) for header in ordered)
        whose = {keyword: str(reduced[0].get(keyword) or "") for keyword in IDENTITY}
        return cls(reduced, geometry, whose, series_number, run, device)

    def volume(self, values: NDArray[Any]) -> Volume:
        """Return values (slices, rows, columns) on the grid of the source."""
        return Volume(
            values,
            self.geometry.affine,
            coordinate_system=self.geometry.coordinate_system,
            frame_of_reference_uid=self.geometry.frame_of_reference_uid,
        )

    def uid(self, *what: str) -> str:
        """Return a UID that the same run on the same series gives again."""
        name = "|".join((str(self.datasets[0].SeriesInstanceUID), self.run, *what))
        return f"2.25.{uuid5(_NAMESPACE, name).int}"

    def identity(self, kind: str, position: int, description: str) -> dict[str, Any]:
        """Return what highdicom wants to know about an output, each of which is a series of its own.

        Args:
            kind: of the output, unique.
            position: from 1 on; gives the number of the series: outputs of series 5 are 5001 and on.
            description: of the series.
        """
        return {
            "series_instance_uid": self.uid(kind, "series"),
            "series_number": 1000 * self.series_number + position,
            "sop_instance_uid": self.uid(kind, "instance"),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": scripts.__version__,
            "device_serial_number": self.device,
            "series_description": description,
            "coding_schemes": [
                CodingSchemeIdentificationItem(
                    CODING_SCHEME, name=MODEL, responsible_organization=MANUFACTURER
                )
            ],
        }


def _reduce(header: Dataset, spacing: float) -> Dataset:
    """Return what outputs take over of one file; what highdicom cannot do without is filled in."""
    reduced = Dataset()
    for keyword in TAKEN_OVER:
        if keyword in header:
            reduced[keyword] = header[keyword]
    for keyword in EMPTY_WHEN_ABSENT:
        if keyword not in reduced:
            setattr(reduced, keyword, "")
    if str(reduced.PatientSex) not in ("M", "F", "O", ""):
        reduced.PatientSex = ""
    if not reduced.get("SliceThickness") and not is_multi_frame(header):
        reduced.SliceThickness = f"{spacing:.10g}"
    alphabets = reduced.get("SpecificCharacterSet")
    if isinstance(alphabets, MultiValue):  # an empty first one, usual in Japan, is the alphabet of this name
        reduced.SpecificCharacterSet = [alphabet or "ISO 2022 IR 6" for alphabet in alphabets]
    reduced.file_meta = header.file_meta
    return reduced
