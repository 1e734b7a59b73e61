"""The thresholded anomaly as a DICOM Segmentation on the grid of the source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
    segread,
)
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

import scripts
from scripts.io.dicom_compare import check_values, compare, dicom_output
from scripts.io.dicom_source import CODING_SCHEME, MODEL, RESEARCH, DicomSource

LABEL = "ANOMALY"
TITLE = "Anomaly above threshold (research)"


def write_segmentation(
    mask: NDArray[np.uint8], source: DicomSource, path: str | Path, threshold: float, position: int
) -> Path:
    """Write a mask, atomically, and return ``path``; it is read back and compared before it gets its name.

    Every slice has a frame, also where the mask is empty.

    Args:
        mask: (slices, rows, columns) uint8, 0 or 1.
        source: what it was made from.
        path: ends in .dcm.
        threshold: that the anomaly exceeds.
        position: of this output among those of the scan.

    Raises:
        ModelError: the shape or dtype is another.
        ResourceError: the file cannot be written, or reads back differently.
    """
    path = Path(path)
    check_values(mask, source, path, np.uint8)
    with dicom_output(path) as temporary:
        make_segmentation(mask, source, threshold, position).save_as(temporary, enforce_file_format=True)
        written = segread(temporary)
        compare(written, written.get_volume(combine_segments=True, dtype=np.uint8), mask, source, path)
    return path


def make_segmentation(
    mask: NDArray[np.uint8], source: DicomSource, threshold: float, position: int
) -> Segmentation:
    """Return the Segmentation in memory, see :func:`write_segmentation`."""
    segment = SegmentDescription(
        segment_number=1,
        segment_label="Anomaly",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=CodedConcept(LABEL, CODING_SCHEME, "Anomaly score above threshold"),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MODEL, family=codes.DCM.ArtificialIntelligence, version=scripts.__version__
        ),
    )
    made = Segmentation(
        source_images=source.datasets,
        pixel_array=source.volume(mask),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        omit_empty_frames=False,
        content_label=LABEL,
        content_description=f"Anomaly score above {threshold:.6g}, research use only"[:64],
        content_qualification=RESEARCH,
        **source.identity("SEGMENTATION", position, TITLE),
    )
    made.BodyPartExamined = "BRAIN"
    return made
