"""DICOM in, DICOM out: the same maps at the same places as from NIfTI files, whatever made these."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from nibabel import Nifti1Image, as_closest_canonical
from pydicom.pixels import pixel_array

from scripts import BUNDLE_ROOT
from scripts.errors import InputError, ScopeError
from scripts.io.results import Status
from scripts.uncertainty.maps import MapName
from tests.dicom_files import SAGITTAL, make_enhanced, make_series, volume, zip_files
from tests.heads import rotation
from tests.inference_route import DICOM, Inferred, infer

CONFIG = json.loads((BUNDLE_ROOT / "configs" / "inference.json").read_text())
SHIPPED = {key: CONFIG[key] for key in ("widths", "heads", "samples")}
"""Settings of the network whose weights are in ``bundle/models``."""
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
REAL = os.environ.get("BRAIN_MRI_DICOM")
needs_real_series = pytest.mark.skipif(REAL is None, reason="BRAIN_MRI_DICOM names no folder or zip of DICOM")


def convert(series: Path, folder: Path) -> Path:
    """Convert a series with dcm2niix, and return the folder of the one NIfTI file."""
    folder.mkdir()
    program = Path(sys.executable).with_name("dcm2niix")
    ended = subprocess.run(
        [program, "-z", "y", "-b", "n", "-f", "scan", "-o", folder, series], capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert [path.name for path in folder.iterdir()] == ["scan.nii.gz"]
    return folder


def only_case(output: Inferred) -> str:
    (case,) = output.results
    return case


def path_of(output: Inferred, kind: str) -> Path:
    case = only_case(output)
    return output.folder / case / str(output.results[case].outputs[kind]["name"])


def as_image(output: Inferred, kind: str) -> Nifti1Image:
    """Return an output in RAS order: by the world coordinates of its file, NIfTI or DICOM."""
    path = path_of(output, kind)
    if path.suffix == ".gz":
        return as_closest_canonical(nibabel.load(path))
    # Not through the writer's code: frame by frame, from the attributes themselves.
    read = pydicom.dcmread(path)
    frames = read.PerFrameFunctionalGroupsSequence
    positions = np.array([one.PlanePositionSequence[0].ImagePositionPatient for one in frames], dtype=float)
    shared = read.SharedFunctionalGroupsSequence[0]
    orientation = shared if "PlaneOrientationSequence" in shared else frames[0]
    measures = shared if "PixelMeasuresSequence" in shared else frames[0]
    directions = np.array(orientation.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    row, column = np.split(directions, 2)
    between_rows, between_columns = map(float, measures.PixelMeasuresSequence[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack(
        [positions[1] - positions[0], column * between_rows, row * between_columns, positions[0]], axis=1
    )
    return as_closest_canonical(Nifti1Image(pixel_array(read).astype(np.float32), FLIP @ affine))


def assert_same_maps(dicom: Inferred, nifti: Inferred, stray: float = 0.0) -> None:
    """Compare every output at the world points of the scan's voxels, with 0.1 % of the largest value.

    Args:
        dicom: one route.
        nifti: the other.
        stray: share of the voxels that may be further off. dcm2niix rounds its affine to 32 bits; 0.001 mm
            may take a pixel that lies on the head's threshold from one side to the other.
    """
    for kind in (*MapName, "mask"):
        ours, theirs = as_image(dicom, kind), as_image(nifti, kind)
        assert ours.shape == theirs.shape
        corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in ours.shape))])
        assert np.abs(corners @ (ours.affine - theirs.affine).T).max() < 2e-3  # mm
        ours, theirs = np.asarray(ours.dataobj), np.asarray(theirs.dataobj)
        if kind == "mask":
            assert (ours != theirs).mean() < 1e-4
        else:
            off = np.abs(ours - theirs) > 1e-3 * np.abs(theirs).max()
            assert off.sum() <= stray * (theirs != 0).sum(), kind
    case, other = only_case(dicom), only_case(nifti)
    assert np.allclose(dicom.scores(case), nifti.scores(other), rtol=1e-3, equal_nan=True)
    assert np.isclose(dicom.results[case].scan_score, nifti.results[other].scan_score, rtol=1e-3)


@pytest.fixture(scope="module")
def mapped(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Inferred]:
    """The files of an axial series, and its outputs."""
    folder = tmp_path_factory.mktemp("axial")
    files = make_series(folder / "series")
    return files, infer(folder / "series", folder / "maps", model, configs=DICOM)


def test_dicom_and_dcm2niix_give_the_same_maps(
    mapped: tuple[list[Path], Inferred], model: Path, tmp_path: Path
) -> None:
    scans = convert(mapped[0][0].parent, tmp_path / "nifti")
    assert_same_maps(mapped[1], infer(scans, tmp_path / "maps", model))


def test_oblique_sagittal_series_and_dcm2niix_give_the_same_maps(model: Path, tmp_path: Path) -> None:
    make_series(tmp_path / "series", volume(axes=SAGITTAL, turn=rotation(17, -9)))
    dicom = infer(tmp_path / "series", tmp_path / "dicom", model, configs=DICOM)
    nifti = infer(convert(tmp_path / "series", tmp_path / "nifti"), tmp_path / "maps", model)
    assert_same_maps(dicom, nifti)


def test_archive_gives_the_same_maps_and_uids(
    mapped: tuple[list[Path], Inferred], model: Path, tmp_path: Path
) -> None:
    files, output = mapped
    packed = infer(zip_files(tmp_path / "series.zip", files), tmp_path / "maps", model, configs=DICOM)
    for kind in (*MapName, "mask"):
        ours, theirs = pydicom.dcmread(path_of(output, kind)), pydicom.dcmread(path_of(packed, kind))
        assert np.array_equal(pixel_array(ours), pixel_array(theirs))
        assert ours.SOPInstanceUID == theirs.SOPInstanceUID


@pytest.mark.case(59)
def test_multi_frame_file_gives_the_same_maps(
    mapped: tuple[list[Path], Inferred], model: Path, tmp_path: Path
) -> None:
    make_enhanced(tmp_path / "image.dcm")
    enhanced = infer(tmp_path / "image.dcm", tmp_path / "maps", model, configs=DICOM)
    for kind in (*MapName, "mask"):
        ours, theirs = as_image(mapped[1], kind), as_image(enhanced, kind)
        assert np.array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))


def test_result_and_page_tell_what_the_files_hold(mapped: tuple[list[Path], Inferred]) -> None:
    output = mapped[1]
    result = output.results[only_case(output)]
    assert result.status is Status.OK
    assert set(result.outputs) == {*MapName, "mask", "overview", "page"}
    assert {path.name for path in path_of(output, "mask").parent.iterdir()} == {
        str(one["name"]) for one in result.outputs.values()
    } | {f"{result.case}_result.json"}
    anomaly, mask = (pixel_array(pydicom.dcmread(path_of(output, kind))) for kind in ("anomaly", "mask"))
    threshold = result.calibration.pixel_threshold
    assert np.array_equal(mask, anomaly > threshold)
    assert 0 < mask.mean() < 0.5
    assert f"{threshold:.6g}" in pydicom.dcmread(path_of(output, "mask")).ContentDescription
    page = pydicom.dcmread(path_of(output, "page"))
    assert page.EncapsulatedDocument.startswith(b"%PDF")
    numbers = [
        pydicom.dcmread(path_of(output, kind), stop_before_pixels=True).SeriesNumber
        for kind in (*MapName, "mask")
    ]
    assert len({*numbers, page.SeriesNumber}) == len(MapName) + 2


@pytest.mark.case(42)
def test_a_bad_series_stops_no_other_and_an_empty_mask_is_a_segmentation(model: Path, tmp_path: Path) -> None:
    make_series(tmp_path / "scans", series="1.2.3.1", leave_out=[17])
    make_series(tmp_path / "scans", series="1.2.4.1", study="1.2.4")
    config = {
        "imports": ["$import sys", "$import torch", "$import dataclasses"],
        "writer#calibration": "$dataclasses.replace(@calibration, pixel_threshold=1e9)",
    }
    with pytest.raises(InputError, match="1 of 2 scans failed.*expected images 7.5 mm apart"):
        infer(tmp_path / "scans", tmp_path / "maps", model, configs=DICOM, **config)
    folders = [path for path in (tmp_path / "maps").glob("[!.]*") if path.is_dir()]
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [1, len(MapName) + 4]
    (mask,) = (tmp_path / "maps").rglob("*_mask.dcm")
    assert not pixel_array(pydicom.dcmread(mask)).any()


def test_scope_gate_stands_before_the_network(tmp_path: Path) -> None:
    make_series(tmp_path / "series")  # a made-up head, and the weights that are shipped
    with pytest.raises(ScopeError, match="found one out of scope, p = "):
        infer(tmp_path / "series", tmp_path / "maps", BUNDLE_ROOT / "models", configs=DICOM, **SHIPPED)
    (folder,) = (path for path in (tmp_path / "maps").glob("[!.]*") if path.is_dir())
    assert [path.name for path in folder.iterdir()] == [f"{folder.name}_result.json"]


@needs_real_series
@pytest.mark.slow
def test_real_series_gives_the_maps_that_dcm2niix_gives(tmp_path: Path) -> None:
    place, weights = Path(str(REAL)), BUNDLE_ROOT / "models"
    dicom = infer(place, tmp_path / "dicom", weights, configs=DICOM, scope="warn", **SHIPPED)
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            archive.extractall(tmp_path / "unpacked")
        place = tmp_path / "unpacked"
    scans = convert(place, tmp_path / "nifti")
    nifti = infer(scans, tmp_path / "maps", weights, scope="warn", **SHIPPED)
    assert_same_maps(dicom, nifti, stray=1e-4)
    for kind in (*MapName, "mask"):
        written = pydicom.dcmread(path_of(dicom, kind), stop_before_pixels=True)
        assert len(written.PerFrameFunctionalGroupsSequence) == written.NumberOfFrames
