"""A page about a scan as a DICOM Encapsulated PDF, so that archives and viewers keep it with the study."""

from __future__ import annotations

from pathlib import Path

from highdicom.base import SOPClass
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from scripts.errors import ResourceError
from scripts.io.dicom_compare import check_identity, dicom_output
from scripts.io.dicom_source import RESEARCH, DicomSource

TITLE = "Anomaly report (research)"


def write_page(pdf: bytes, source: DicomSource, path: str | Path, position: int) -> Path:
    """Write a PDF, atomically, and return ``path``; it is read back and compared before it gets its name.

    Args:
        pdf: the document; it names nobody.
        source: what it is about.
        path: ends in .dcm.
        position: of this output among those of the scan.

    Raises:
        ResourceError: the file cannot be written, or reads back differently.
    """
    path = Path(path)
    with dicom_output(path) as temporary:
        make_page(pdf, source, position).save_as(temporary, enforce_file_format=True)
        written = dcmread(temporary)
        check_identity(written, source, path)
        if written.EncapsulatedDocument[: written.EncapsulatedDocumentLength] != pdf:
            raise ResourceError(f"{path}: reads back with another page than was written; check the disk")
    return path


def make_page(pdf: bytes, source: DicomSource, position: int) -> SOPClass:
    """Return the Encapsulated PDF in memory, see :func:`write_page`."""
    first = source.datasets[0]
    made = SOPClass(
        study_instance_uid=first.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        patient_id=first.PatientID,
        patient_name=first.PatientName,
        patient_birth_date=first.PatientBirthDate,
        patient_sex=first.PatientSex,
        accession_number=first.AccessionNumber,
        study_id=first.StudyID,
        study_date=first.StudyDate or None,
        study_time=first.StudyTime or None,
        referring_physician_name=first.ReferringPhysicianName,
        content_qualification=RESEARCH,
        specific_character_set=first.get("SpecificCharacterSet"),
        **source.identity("PAGE", position, TITLE),
    )
    made.copy_patient_and_study_information(first)
    made.ConversionType = "WSD"
    made.AcquisitionDateTime = None
    made.BurnedInAnnotation = "NO"
    made.RecognizableVisualFeatures = "YES"
    made.DocumentTitle = TITLE
    made.ConceptNameCodeSequence = []
    made.SourceInstanceSequence = [_reference(one) for one in source.datasets]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return made


def _reference(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item
