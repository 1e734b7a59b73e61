"""DICOM outputs: read back with other means than wrote them, valid, and refused where they would be wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import pixel_array
from pydicom.uid import EncapsulatedPDFStorage, ParametricMapStorage, SegmentationStorage

from scripts.errors import InputError, ModelError, ResourceError
from scripts.io import dicom_map, dicom_mask, dicom_page
from scripts.io.dicom_map import write_parametric_map
from scripts.io.dicom_mask import write_segmentation
from scripts.io.dicom_page import write_page
from scripts.io.dicom_source import DicomSource
from scripts.uncertainty.maps import MapName, quantity_of
from scripts.uncertainty.scores import Score
from tests.dicom_files import (
    NAME,
    PATIENT_ID,
    PHYSICIAN,
    SAGITTAL,
    make_datasets,
    make_enhanced,
    save,
    volume,
)
from tests.heads import rotation

ANOMALY = quantity_of("anomaly", "uncertainty_weighted")

GRID = volume(axes=SAGITTAL, turn=rotation(17, -9))
PDF = b"%PDF-1.4 a document with an odd number of bytes"
KINDS = ("map", "mask", "page")
SOP_CLASSES = {"map": ParametricMapStorage, "mask": SegmentationStorage, "page": EncapsulatedPDFStorage}


def make_source() -> DicomSource:
    return DicomSource.from_headers(make_datasets(GRID), 3, "a run", "07ce6d0d")


@pytest.fixture(scope="module")
def source() -> DicomSource:
    return make_source()


@pytest.fixture(scope="module")
def values(source: DicomSource) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.gamma(1.0, 0.01, source.geometry.spatial_shape).astype(np.float32)


@pytest.fixture(scope="module")
def written(
    source: DicomSource, values: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One file of each kind."""
    folder = tmp_path_factory.mktemp("outputs")
    mask = (values > 0.02).astype(np.uint8)
    return {
        "map": write_parametric_map(values, source, folder / "map.dcm", ANOMALY, 2),
        "mask": write_segmentation(mask, source, folder / "mask.dcm", 0.02, 6),
        "page": write_page(PDF, source, folder / "page.dcm", 7),
    }


@pytest.fixture
def strict() -> Iterator[None]:
    """pydicom refuses every value that its type does not allow."""
    settings = pydicom.config.settings
    reading, writing = settings.reading_validation_mode, settings.writing_validation_mode
    settings.reading_validation_mode = settings.writing_validation_mode = pydicom.config.RAISE
    yield
    settings.reading_validation_mode, settings.writing_validation_mode = reading, writing


def everything(dataset: Dataset) -> list[str]:
    """Return the keywords of every element at every depth; each value is read."""
    return [element.keyword for element in dataset.iterall() if element.value is not NotImplemented]


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_belong_to_patient_study_and_frame_of_reference(written: dict[str, Path], kind: str) -> None:
    output = pydicom.dcmread(written[kind])
    assert output.SOPClassUID == SOP_CLASSES[kind]
    assert (output.PatientName, output.PatientID, output.PatientBirthDate, output.PatientSex) == (
        NAME,
        PATIENT_ID,
        "19700101",
        "F",
    )
    assert (output.StudyInstanceUID, output.StudyID, output.AccessionNumber) == ("1.2.3", "7", "A-17")
    assert output.ContentQualification == "RESEARCH"
    assert output.SeriesNumber in range(3001, 3010)
    assert "research" in output.SeriesDescription
    if kind != "page":
        assert output.FrameOfReferenceUID == GRID.frame_of_reference_uid


@pytest.mark.case(62)
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_take_over_no_more_than_they_need(written: dict[str, Path], kind: str) -> None:
    output = pydicom.dcmread(written[kind])
    keywords = everything(output)
    for keyword in ("PatientComments", "EthnicGroup", "InstitutionName", "StationName", "OperatorsName"):
        assert keyword not in keywords
    assert PHYSICIAN in str(output)  # the referring physician belongs to every study (type 2)
    assert "Princeton" not in str(output)
    assert "lives nearby" not in str(output)


def test_map_holds_the_very_numbers_at_their_places(
    written: dict[str, Path], values: np.ndarray, source: DicomSource
) -> None:
    output = pydicom.dcmread(written["map"])
    assert np.array_equal(pixel_array(output), values)
    shared = output.SharedFunctionalGroupsSequence[0]
    mapping = shared.RealWorldValueMappingSequence[0]
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.DoubleFloatRealWorldValueLastValueMapped == values.max()
    orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)
    for frame, groups in enumerate(output.PerFrameFunctionalGroupsSequence):
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        last = corner + orientation[:3] * spacing[1] * 45 + orientation[3:] * spacing[0] * 21
        expected = source.geometry.map_indices_to_reference(np.array([[frame, 0, 0], [frame, 21, 45]]))
        assert np.allclose([corner, last], expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["map", "mask"])
def test_each_frame_refers_to_the_image_at_its_place(written: dict[str, Path], kind: str) -> None:
    places = {str(one.SOPInstanceUID): one.ImagePositionPatient for one in make_datasets(GRID)}
    output = pydicom.dcmread(written[kind])
    for groups in output.PerFrameFunctionalGroupsSequence:
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        assert np.allclose(np.array(places[str(reference)], dtype=float), position, atol=1e-3)
    assert len(output.PerFrameFunctionalGroupsSequence) == len(places)


def test_mask_is_a_binary_segment_with_a_frame_for_every_slice(
    written: dict[str, Path], values: np.ndarray
) -> None:
    output = pydicom.dcmread(written["mask"])
    assert output.SegmentationType == "BINARY"
    assert output.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert np.array_equal(pixel_array(output), values > 0.02)


@pytest.mark.case(42)
def test_empty_mask_is_a_whole_segmentation(source: DicomSource, tmp_path: Path) -> None:
    empty = np.zeros(source.geometry.spatial_shape, dtype=np.uint8)
    path = write_segmentation(empty, source, tmp_path / "mask.dcm", 1.0, 6)
    assert pixel_array(pydicom.dcmread(path)).shape == empty.shape


def test_page_is_the_document(written: dict[str, Path]) -> None:
    output = pydicom.dcmread(written["page"])
    assert output.EncapsulatedDocument[: output.EncapsulatedDocumentLength] == PDF
    assert len(output.SourceInstanceSequence) == GRID.shape[0]
    assert output.BurnedInAnnotation == "NO"


def test_same_run_gives_the_same_uids_and_another_run_others(source: DicomSource) -> None:
    again = DicomSource.from_headers(make_datasets(GRID), 3, "a run", "07ce6d0d")
    other = DicomSource.from_headers(make_datasets(GRID), 3, "another run", "07ce6d0d")
    assert again.uid("MAP") == source.uid("MAP")
    assert len({source.uid("MAP"), source.uid("MASK"), other.uid("MAP")}) == 3
    assert pydicom.uid.UID(source.uid("MAP")).is_valid


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_valid_to_pydicom(written: dict[str, Path], kind: str) -> None:
    assert len(everything(pydicom.dcmread(written[kind]))) > 40


@pytest.mark.debian
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(written: dict[str, Path], kind: str) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not here: apt-get install dicom3tools")
    said = subprocess.run([program, written[kind]], capture_output=True, text=True, check=False).stderr
    assert said.splitlines()[0] in ("ParametricMap", "Segmentation", "EncapsulatedPDF")
    assert "Error" not in said
    # Terms beyond those of the standard are allowed: our own codes, and highdicom's image type.
    warnings = [line for line in said.splitlines() if line.startswith("Warning")]
    assert all("Unrecognized defined term" in line for line in warnings), warnings


def test_outputs_of_a_multi_frame_source(values: np.ndarray, tmp_path: Path) -> None:
    header = pydicom.dcmread(make_enhanced(tmp_path / "enhanced.dcm"), stop_before_pixels=True)
    source = DicomSource.from_headers([header], 3, "a run", "07ce6d0d")
    flat = np.resize(values, source.geometry.spatial_shape)
    path = write_parametric_map(flat, source, tmp_path / "map.dcm", ANOMALY, 2)
    output = pydicom.dcmread(path)
    assert np.array_equal(pixel_array(output), flat)
    frames = [
        groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for groups in output.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(frames) == list(range(1, 23))


def test_source_without_what_may_be_missing_gets_it_empty(values: np.ndarray, tmp_path: Path) -> None:
    datasets = make_datasets(GRID)
    for one in datasets:
        del one.PatientBirthDate, one.AccessionNumber, one.StudyID, one.ReferringPhysicianName, one.StudyTime
        del one.SeriesNumber, one.SliceThickness
        one.PatientSex = "unknown"
    source = DicomSource.from_headers(datasets, 3, "a run", "07ce6d0d")
    write_parametric_map(values, source, tmp_path / "map.dcm", ANOMALY, 2)
    output = pydicom.dcmread(write_page(PDF, source, tmp_path / "page.dcm", 7))
    assert not any((output.PatientBirthDate, output.AccessionNumber, output.PatientSex))


@pytest.mark.parametrize(
    ("alphabet", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),  # the standard's own example
    ],
)
def test_names_keep_their_letters(
    values: np.ndarray, tmp_path: Path, alphabet: str | list[str], name: str
) -> None:
    datasets = make_datasets(GRID)
    for one in datasets:
        one.SpecificCharacterSet, one.PatientName = alphabet, name
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in save(tmp_path / "series", datasets)]
    source = DicomSource.from_headers(headers, 3, "a run", "07ce6d0d")
    path = write_parametric_map(values, source, tmp_path / "map.dcm", ANOMALY, 2)
    assert pydicom.dcmread(path).PatientName == name
    assert pydicom.dcmread(write_page(PDF, source, tmp_path / "page.dcm", 7)).PatientName == name


def test_attributes_that_cannot_be_written_are_refused_without_a_word_of_them(tmp_path: Path) -> None:
    datasets = make_datasets(GRID)
    for one in datasets:
        one.StudyDate = "secret-4712"
    source = DicomSource.from_headers(datasets, 3, "a run", "07ce6d0d")
    with pytest.raises(InputError, match=r"page.dcm: cannot be made .* \(ValueError\)") as caught:
        write_page(PDF, source, tmp_path / "page.dcm", 7)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values[:-1], "expected values of shape"),
        (lambda values: values.astype(np.float64), "type float32"),
        (lambda values: np.where(values > 0.01, np.nan, values), "given NaN or infinity"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    source: DicomSource,
    values: np.ndarray,
    tmp_path: Path,
    change: Callable[[np.ndarray], np.ndarray],
    message: str,
) -> None:
    with pytest.raises(ModelError, match=message):
        write_parametric_map(change(values), source, tmp_path / "map.dcm", ANOMALY, 2)
    assert list(tmp_path.iterdir()) == []


def _other_patient(made: Dataset) -> None:
    made.PatientID = "someone else"


def _other_study(made: Dataset) -> None:
    made.StudyInstanceUID = "1.2.99"


def _other_frame(made: Dataset) -> None:
    made.FrameOfReferenceUID = "1.2.99"


def _moved(made: Dataset) -> None:
    for groups in made.PerFrameFunctionalGroupsSequence:
        position = groups.PlanePositionSequence[0]
        moved = np.array(position.ImagePositionPatient, dtype=float) + np.array([0.5, 0, 0])
        position.ImagePositionPatient = [f"{x:.6f}" for x in moved]


def _other_content(made: Dataset) -> None:
    name = "FloatPixelData" if "FloatPixelData" in made else "PixelData"
    content = bytearray(getattr(made, name))
    content[40] ^= 1
    setattr(made, name, bytes(content))


@pytest.mark.case(63)
@pytest.mark.parametrize("kind", ["map", "mask"])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_other_patient, "PatientID"),
        (_other_study, "StudyInstanceUID"),
        (_other_frame, "frame of reference"),
        (_moved, "position"),
        (_other_content, "content"),
    ],
)
def test_what_reads_back_differently_never_gets_its_name(
    values: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    spoil: Callable[[Dataset], None],
    what: str,
) -> None:
    module, name = (dicom_map, "make_map") if kind == "map" else (dicom_mask, "make_segmentation")
    make = getattr(module, name)

    def spoilt(*given: object) -> Dataset:
        made = make(*given)
        spoil(made)
        return made

    monkeypatch.setattr(module, name, spoilt)
    source = make_source()  # of its own: the output shares elements with it
    mask = (values > 0.02).astype(np.uint8)
    write = {
        "map": lambda: write_parametric_map(values, source, tmp_path / "map.dcm", ANOMALY, 2),
        "mask": lambda: write_segmentation(mask, source, tmp_path / "mask.dcm", 0.02, 6),
    }
    with pytest.raises(ResourceError, match=f"reads back with another {what}"):
        write[kind]()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.case(63)
def test_page_of_another_patient_never_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = dicom_page.make_page

    def spoilt(*given: object) -> Dataset:
        made = make(*given)  # type: ignore[arg-type]
        _other_patient(made)
        return made

    monkeypatch.setattr(dicom_page, "make_page", spoilt)
    with pytest.raises(ResourceError, match="another PatientID"):
        write_page(PDF, make_source(), tmp_path / "page.dcm", 7)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("score", list(Score))
@pytest.mark.parametrize("name", list(MapName))
def test_labels_fit_their_fields(name: MapName, score: Score) -> None:
    quantity = quantity_of(name, score)
    assert len(quantity.label) <= 16
    assert quantity.label.replace("_", "").isalnum()
    assert quantity.label == quantity.label.upper()
    assert len(quantity.title) <= 64


def test_highdicom_reads_the_outputs_as_volumes(written: dict[str, Path], values: np.ndarray) -> None:
    read = highdicom.imread(written["map"]).get_volume(dtype=np.float32)
    assert np.array_equal(read.array, values)
