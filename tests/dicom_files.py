"""Generated DICOM series: a synthetic head in any orientation, with whatever is to be wrong about it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from highdicom import Volume
from highdicom.legacy import LegacyConvertedEnhancedMRImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from tests.heads import make_head, scan_affine

SHAPE, SPACING = (40, 46, 22), (5.0, 5.0, 7.5)
HEAD = make_head(SHAPE, SPACING)
AXIAL, SAGITTAL = ("H", "P", "L"), ("L", "F", "P")
"""Where slices, rows and columns run to."""
NAME, PATIENT_ID, PHYSICIAN = "Doe^Jane", "secret-4711", "House^Gregory"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

Change = Callable[[Dataset, int], object]


def volume(
    values: NDArray = HEAD, axes: Sequence[str] = AXIAL, turn: NDArray | None = None, frame: str = "1.2.3.9"
) -> Volume:
    """Return a head (X, Y, Z; RAS) as slices, rows, columns.

    Args:
        values: intensities.
        axes: see ``AXIAL``.
        turn: affine (4, 4) of a rotation.
        frame: of reference.
    """
    affine = LPS @ (np.eye(4) if turn is None else turn) @ scan_affine(SHAPE, SPACING)
    made = Volume(values, affine, coordinate_system="PATIENT", frame_of_reference_uid=frame)
    return made.to_patient_orientation("".join(axes))


def make_datasets(
    grid: Volume | None = None, change: Change | None = None, series: str = "1.2.3.4", study: str = "1.2.3"
) -> list[FileDataset]:
    """Return one data set for each slice; ``change(dataset, index)`` makes something of it."""
    grid = volume() if grid is None else grid
    return [_slice(grid, index, change, series, study) for index in range(grid.shape[0])]


def make_series(
    folder: Path,
    grid: Volume | None = None,
    change: Change | None = None,
    series: str = "1.2.3.4",
    study: str = "1.2.3",
    leave_out: Sequence[int] = (),
) -> list[Path]:
    """Write a series, in an order of names that is not that of the slices, and return its files."""
    return save(folder, make_datasets(grid, change, series, study), leave_out)


def save(folder: Path, datasets: Sequence[Dataset], leave_out: Sequence[int] = ()) -> list[Path]:
    """Write data sets to files and return these."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(datasets):
        if index not in leave_out:
            number = (index * 7) % len(datasets)
            path = folder / f"{dataset.SeriesInstanceUID}_{number:03d}_{index:03d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def make_enhanced(
    path: Path, change: Change | None = None, alter: Callable[[Dataset], object] | None = None
) -> Path:
    """Write a series as one multi-frame file, converted by highdicom, and return its path.

    Args:
        path: of the file.
        change: see :func:`make_datasets`.
        alter: changes the multi-frame data set.
    """
    datasets = make_datasets(change=change)
    made = LegacyConvertedEnhancedMRImage(
        datasets,
        series_instance_uid="1.2.3.5",
        series_number=2,
        sop_instance_uid="1.2.3.5.1",
        instance_number=1,
    )
    if alter is not None:
        alter(made)
    made.save_as(path, enforce_file_format=True)
    return path


def zip_files(path: Path, files: Sequence[Path]) -> Path:
    """Write files into an archive, in a folder each second one, and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, file in enumerate(files):
            archive.write(file, f"{'images/' * (number % 2)}{file.name}")
    return path


def _slice(grid: Volume, index: int, change: Change | None, series: str, study: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = f"{series}.{index + 1}"
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = (
        NAME,
        PATIENT_ID,
        "19700101",
        "F",
    )
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = "20200102", "101500", "7", "A-17"
    made.ReferringPhysicianName, made.PatientComments, made.EthnicGroup = PHYSICIAN, "lives nearby", "unknown"
    made.InstitutionName, made.Manufacturer, made.SeriesNumber = "Princeton-Plainsboro", "Maker", 3
    made.SeriesDescription, made.Modality, made.ImageType = "t1 post", "MR", ["ORIGINAL", "PRIMARY", "M"]
    made.PatientPosition, made.BodyPartExamined, made.FrameOfReferenceUID = (
        "HFS",
        "HEAD",
        grid.frame_of_reference_uid,
    )
    made.PositionReferenceIndicator, made.SliceThickness = "", str(grid.spacing_between_slices)
    made.InstanceNumber = index + 1
    made.ImagePositionPatient = [
        f"{x:.8f}"[:16] for x in grid.map_indices_to_reference(np.array([[index, 0, 0]]))[0]
    ]
    row, column = grid.unit_vectors()[2], grid.unit_vectors()[1]
    made.ImageOrientationPatient = [f"{x:.12f}"[:16] for x in (*row, *column)]
    made.PixelSpacing = [str(step) for step in grid.pixel_spacing]
    made.ScanningSequence, made.SequenceVariant, made.ScanOptions = "GR", "SP", ""
    made.MRAcquisitionType, made.EchoTime, made.RepetitionTime, made.EchoTrainLength = "3D", "3", "2000", "1"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = grid.shape[1:3]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = grid.array[index].round().astype("<u2").tobytes()
    made["PixelData"].VR = "OW"
    if change is not None:
        change(made, index)
    return made


def set_pixels(dataset: Dataset, values: NDArray) -> None:
    """Replace the pixels of a data set."""
    dataset.PixelData = np.asarray(values).round().astype("<u2").tobytes()


def pixels(dataset: Dataset) -> NDArray[np.uint16]:
    """Return the stored pixels (rows, columns)."""
    return pydicom.pixels.pixel_array(dataset)
