"""DICOM series that are not what they seem: refused with the place in mm, or read exactly."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nibabel import Nifti1Image, as_closest_canonical
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import JPEGLosslessSV1, JPEGLSLossless, RLELossless, UltrasoundImageStorage

from scripts.data.dicom_choice import choose_series
from scripts.data.dicom_series import Listing, Series, list_series
from scripts.errors import InputError
from scripts.preflight.dicom_loading import LoadDicomd
from scripts.preflight.dicom_volume import Examined, examine_series
from scripts.preflight.report import Level
from scripts.preflight.rules import Rules
from tests.dicom_files import (
    HEAD,
    NAME,
    PATIENT_ID,
    SAGITTAL,
    SPACING,
    Change,
    make_datasets,
    make_enhanced,
    make_series,
    pixels,
    save,
    set_pixels,
    volume,
)
from tests.heads import rotation

SLICES = 22
STORED = HEAD.round()


def only_series(folder: Path) -> Series:
    listing = list_series(folder)
    assert len(listing.series) == 1
    return choose_series(listing, listing.series[0].key)[0]


def examine(folder: Path, change: Change | None = None, **options: object) -> Examined:
    make_series(folder, change=change, **options)  # type: ignore[arg-type]
    return examine_series(only_series(folder))


def sentence(found: Examined, check: str) -> str:
    """Return what one check says; it must have refused, and so be the last."""
    last = found.reports[-1]
    assert (last.check, last.level) == (check, Level.REFUSAL), last
    assert found.voxels is None
    return last.sentence


def warnings(found: Examined) -> dict[str, str]:
    return {one.check: one.finding for one in found.reports if one.level is Level.WARNING}


def as_head(found: Examined) -> np.ndarray:
    """Return the voxels in the order of ``HEAD``, by their world coordinates alone."""
    assert found.voxels is not None
    assert found.header is not None
    return np.asarray(as_closest_canonical(Nifti1Image(found.voxels, found.header.affine)).dataobj)


def at(index: int, key: str, value: object) -> Change:
    def change(dataset: Dataset, position: int) -> None:
        if position == index:
            setattr(dataset, key, value)

    return change


def shift(vector: Callable[[int], tuple[float, float, float]]) -> Change:
    def change(dataset: Dataset, index: int) -> None:
        moved = np.array(dataset.ImagePositionPatient, dtype=float) + vector(index)
        dataset.ImagePositionPatient = [f"{x:.8f}"[:16] for x in moved]

    return change


@pytest.mark.parametrize("axes", [("H", "P", "L"), SAGITTAL, ("P", "F", "L"), ("F", "A", "R")])
def test_voxels_lie_where_they_were(tmp_path: Path, axes: tuple[str, ...]) -> None:
    found = examine(tmp_path, grid=volume(axes=axes))
    assert np.array_equal(as_head(found), STORED)
    assert found.header is not None
    assert warnings(found).keys() == {"slices"}  # they are thick


def test_oblique_series_keeps_its_affine(tmp_path: Path) -> None:
    grid = volume(axes=SAGITTAL, turn=rotation(17, -9))
    found = examine(tmp_path, grid=grid)
    assert found.header is not None
    assert np.allclose(sorted(found.header.voxel_size), sorted(SPACING), atol=1e-6)
    corners = np.array([[0, 0, 0], [39, 21, 45], [0, 21, 0]])
    ours = corners @ found.header.affine[:3, :3].T + found.header.affine[:3, 3]
    theirs = grid.map_indices_to_reference(corners) * [-1, -1, 1]
    mirrored = np.abs(np.array([[grid.shape[0] - 1, 0, 0]]) - corners)  # stacked the other way round
    flipped = grid.map_indices_to_reference(mirrored) * [-1, -1, 1]
    assert min(np.abs(ours - theirs).max(), np.abs(ours - flipped).max()) < 1e-4


@pytest.mark.case(55)
def test_missing_image_is_refused_with_its_place(tmp_path: Path) -> None:
    text = sentence(examine(tmp_path, leave_out=[17]), "dicom_positions")
    assert "expected images 7.5 mm apart, found 15 mm between" in text
    low, high = sorted(-(index - 10.5) * 7.5 for index in (16, 18))
    assert f"between {low:.2f} and {high:.2f} mm" in text
    assert "image 17" in text
    assert "image 19" in text


@pytest.mark.case(55)
def test_uneven_gap_is_refused_with_its_place(tmp_path: Path) -> None:
    change = shift(lambda index: (0.0, 0.0, 0.4 if index >= 20 else 0.0))
    text = sentence(examine(tmp_path, change), "dicom_positions")
    assert "found 7.9 mm between" in text


@pytest.mark.case(55)
def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    datasets = make_datasets()
    datasets[9].ImagePositionPatient = datasets[8].ImagePositionPatient
    save(tmp_path, datasets)
    text = sentence(examine_series(only_series(tmp_path)), "dicom_positions")
    assert f"the first at {(10.5 - 8) * 7.5:.2f} mm along the stack" in text
    assert "several volumes" in text


@pytest.mark.case(55)
def test_missing_ends_are_a_warning(tmp_path: Path) -> None:
    found = examine(
        tmp_path / "a", lambda dataset, _: setattr(dataset, "ImagesInAcquisition", 22), leave_out=[21]
    )
    assert "the scanner made 22 images, 21 are here" in warnings(found)["dicom_ends"]
    found = examine(tmp_path / "b", leave_out=range(8, 22))
    assert "the stack is 52.5 mm long" in warnings(found)["dicom_ends"]


def test_tilted_stack_is_refused_with_its_place(tmp_path: Path) -> None:
    text = sentence(examine(tmp_path, shift(lambda index: (0.0, 0.4 * index, 0.0))), "dicom_tilt")
    assert "mm off to the side at" in text
    assert f"{np.rad2deg(np.arctan(0.4 / 7.5)):.2g} degrees" in text


def test_mixed_orientation_is_refused_with_its_place(tmp_path: Path) -> None:
    text = sentence(
        examine(tmp_path, at(11, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1])), "dicom_orientation"
    )
    assert "image 12 at" in text
    assert "mm" in text


@pytest.mark.case(58)
@pytest.mark.parametrize(
    ("keyword", "word"),
    [
        ("PixelSpacing", "spacing"),
        ("ImagePositionPatient", "position"),
        ("ImageOrientationPatient", "orientation"),
        ("FrameOfReferenceUID", "frame of reference"),
    ],
)
def test_missing_geometry_is_refused(tmp_path: Path, keyword: str, word: str) -> None:
    def change(dataset: Dataset, index: int) -> None:
        if index == 4:
            delattr(dataset, keyword)

    text = sentence(examine(tmp_path, change), "dicom_attributes")
    assert f"expected the {word} of every image, 1 of 22 have none, the first is image 5" in text


@pytest.mark.case(58)
@pytest.mark.parametrize(
    ("keyword", "value"), [("PixelSpacing", [0, 5]), ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0])]
)
def test_impossible_geometry_is_refused(tmp_path: Path, keyword: str, value: list[float]) -> None:
    assert "image 1: found" in sentence(examine(tmp_path, at(0, keyword, value)), "dicom_attributes")


@pytest.mark.parametrize(
    ("keyword", "value", "text"),
    [
        ("PixelSpacing", [5.5, 5.0], "pixels of"),
        ("FrameOfReferenceUID", "9.9", "several frames of reference"),
    ],
)
def test_images_of_two_grids_are_refused(tmp_path: Path, keyword: str, value: object, text: str) -> None:
    assert text in sentence(examine(tmp_path, at(20, keyword, value)), "dicom_size")


def test_image_of_another_size_is_refused(tmp_path: Path) -> None:
    def change(dataset: Dataset, index: int) -> None:
        if index == 20:
            dataset.Rows -= 1

    assert "45 x 40 pixels beside 46 x 40" in sentence(examine(tmp_path, change), "dicom_size")


@pytest.mark.case(63)
@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyInstanceUID"])
def test_images_of_two_people_in_one_series_are_refused(tmp_path: Path, keyword: str) -> None:
    text = sentence(examine(tmp_path, at(20, keyword, "1.2.99")), "dicom_person")
    assert f"found 2 values of {keyword}" in text
    assert PATIENT_ID not in text


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("StudyDate", "00000000"), ("PatientBirthDate", "yesterday"), ("StudyTime", "99:99")],
)
def test_dates_that_no_output_could_have_are_refused(tmp_path: Path, keyword: str, value: str) -> None:
    text = sentence(examine(tmp_path, lambda dataset, _: setattr(dataset, keyword, value)), "dicom_dates")
    assert keyword in text
    assert value not in text


@pytest.mark.parametrize("element", [b"\x20\x00\x32\x00DS", b"\x20\x00\x02\x10IS"])
def test_letters_where_numbers_belong_are_refused(tmp_path: Path, element: bytes) -> None:
    files = make_series(tmp_path, change=lambda dataset, _: setattr(dataset, "ImagesInAcquisition", 1234))
    content = files[3].read_bytes()
    place = content.index(element) + 8
    files[3].write_bytes(content[:place] + b"1,5" + content[place + 3 :])
    sentence(examine_series(only_series(tmp_path)), "dicom_damaged")


@pytest.mark.parametrize(
    ("keyword", "value", "check"),
    [
        ("PixelSpacing", [5.0], "dicom_attributes"),
        ("ImagePositionPatient", [1.0], "dicom_attributes"),
        ("ImagesInAcquisition", [22, 22], "dicom_damaged"),
    ],
)
def test_another_number_of_values_than_belongs_there_is_refused(
    tmp_path: Path, keyword: str, value: list[float], check: str
) -> None:
    sentence(examine(tmp_path, lambda dataset, _: setattr(dataset, keyword, value)), check)


def test_files_that_do_not_say_how_they_are_encoded_are_refused(tmp_path: Path) -> None:
    for file, dataset in zip(make_series(tmp_path), make_datasets(), strict=True):
        del dataset.file_meta.TransferSyntaxUID
        dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
    sentence(examine_series(only_series(tmp_path)), "dicom_damaged")


@pytest.mark.case(59)
def test_multi_frame_file_is_read_as_the_single_frames_are(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "enhanced.dcm")
    series = only_series(tmp_path)
    assert len(series.files) == 1
    assert np.array_equal(as_head(examine_series(series)), STORED)


@pytest.mark.case(59)
def test_multi_frame_file_with_a_gap_is_refused(tmp_path: Path) -> None:
    make_enhanced(tmp_path / "enhanced.dcm", shift(lambda index: (0.0, 0.0, 3.0 if index > 20 else 0.0)))
    assert "10.5 mm between" in sentence(examine_series(only_series(tmp_path)), "dicom_positions")


@pytest.mark.case(59)
def test_multi_frame_file_with_two_volumes_is_refused(tmp_path: Path) -> None:
    def twice(made: Dataset) -> None:
        frames = list(made.PerFrameFunctionalGroupsSequence)
        made.PerFrameFunctionalGroupsSequence = frames + frames
        made.NumberOfFrames, made.PixelData = 2 * SLICES, made.PixelData * 2

    make_enhanced(tmp_path / "enhanced.dcm", alter=twice)
    text = sentence(examine_series(only_series(tmp_path)), "dicom_positions")
    assert f"found {SLICES} places with several" in text
    assert "several volumes" in text


@pytest.mark.case(59)
def test_two_multi_frame_files_in_one_series_are_refused(tmp_path: Path) -> None:
    for number in (1, 2):
        make_enhanced(tmp_path / f"enhanced_{number}.dcm")
    assert "found 2 multi-frame and 0 other files" in sentence(
        examine_series(only_series(tmp_path)), "dicom_frames"
    )


@pytest.mark.case(60)
def test_pixels_without_a_codec_are_refused_with_the_packages_to_install(tmp_path: Path) -> None:
    def change(dataset: Dataset, _: int) -> None:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1

    text = sentence(examine(tmp_path, change), "dicom_codec")
    assert "JPEG Lossless" in text
    assert "install one of: " in text
    assert "pylibjpeg" in text


@pytest.mark.case(60)
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_compressed_pixels_with_a_codec_are_the_same(tmp_path: Path, syntax: str) -> None:
    found = examine(tmp_path, lambda dataset, _: dataset.compress(syntax, generate_instance_uid=False))
    assert np.array_equal(as_head(found), STORED)


@pytest.mark.case(61)
@pytest.mark.parametrize("multi_frame", [False, True])
def test_scaling_of_each_slice_is_applied(tmp_path: Path, multi_frame: bool) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + index / 8), str(index)
        dataset.RescaleType = "US"

    grid = volume()
    if multi_frame:
        make_enhanced(tmp_path / "enhanced.dcm", change)
        found = examine_series(only_series(tmp_path))
    else:
        found = examine(tmp_path, change, grid=grid)
    factors = np.arange(SLICES)[:, None, None]
    expected = grid.with_array(grid.array.round() * (1 + factors / 8) + factors)
    assert np.allclose(as_head(found), expected.to_patient_orientation("LPH").array[::-1, ::-1], atol=1e-3)


@pytest.mark.case(61)
def test_inverted_images_are_turned_around_as_one(tmp_path: Path) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + index / 8), "0"
        set_pixels(dataset, (1000 - pixels(dataset)) / (1 + index / 8))

    head = as_head(examine(tmp_path, change))
    background = head[0, 0, 0]
    assert background == pytest.approx(head.min(), abs=6)
    assert np.corrcoef(head.ravel(), STORED.ravel())[0, 1] > 0.999


def test_grey_and_inverted_images_in_one_series_are_refused(tmp_path: Path) -> None:
    found = examine(tmp_path, at(3, "PhotometricInterpretation", "MONOCHROME1"))
    assert "MONOCHROME1, MONOCHROME2" in sentence(found, "dicom_photometric")


def test_cut_off_file_is_refused_without_a_word_of_its_content(tmp_path: Path) -> None:
    files = make_series(tmp_path)
    content = files[5].read_bytes()
    files[5].write_bytes(content[: len(content) - 900])
    text = sentence(examine_series(only_series(tmp_path)), "dicom_damaged")
    assert "export the series again" in text
    assert NAME not in text


def test_file_whose_header_is_cut_is_counted(tmp_path: Path) -> None:
    files = make_series(tmp_path)
    files[0].write_bytes(files[0].read_bytes()[:400])
    found = examine_series(only_series(tmp_path))
    assert "1 DICOM files beside it are damaged" in warnings(found)["dicom_ends"]


def test_empty_images_are_refused(tmp_path: Path) -> None:
    found = examine(tmp_path, lambda dataset, _: set_pixels(dataset, np.zeros((46, 40))))
    assert found.reports[-1].check == "content"
    assert found.reports[-1].level is Level.REFUSAL


def test_single_image_needs_the_word_for_it(tmp_path: Path) -> None:
    make_series(tmp_path, leave_out=[index for index in range(SLICES) if index != 18])
    series = only_series(tmp_path)
    assert "--single_slice true" in sentence(examine_series(series), "dimensions")
    found = examine_series(series, Rules(single_slice=True))
    assert found.voxels is not None
    assert found.voxels.shape == (1, 46, 40)


@pytest.mark.parametrize(
    ("thickness", "spacing", "expected"),
    [("5", None, 5.0), ("5", "6", 6.0), ("", None, 1.0), ("0", None, 1.0)],
)
def test_a_single_slice_is_as_thick_as_its_file_says(
    tmp_path: Path, thickness: str, spacing: str | None, expected: float
) -> None:
    def change(dataset: Dataset, _: int) -> None:
        dataset.SliceThickness = thickness
        if spacing is not None:
            dataset.SpacingBetweenSlices = spacing

    make_series(tmp_path, change=change, leave_out=[index for index in range(SLICES) if index != 18])
    found = examine_series(only_series(tmp_path), Rules(single_slice=True))
    assert found.header is not None
    assert float(found.header.fields["pixdim"][1]) == pytest.approx(expected)


@pytest.mark.case(57)
def test_derived_images_that_were_asked_for_are_a_warning(tmp_path: Path) -> None:
    found = examine(
        tmp_path, lambda dataset, _: setattr(dataset, "ImageType", ["DERIVED", "SECONDARY", "MPR"])
    )
    assert "computed from others" in warnings(found)["dicom_kind"]


@pytest.mark.case(57)
def test_images_of_other_kinds_are_a_note(tmp_path: Path) -> None:
    files = make_series(tmp_path, change=at(0, "SOPClassUID", UltrasoundImageStorage))
    found = examine_series(only_series(tmp_path))
    assert len(files) == SLICES
    assert [one.finding for one in found.reports if one.check == "dicom_kind"] == [
        "1 files of the series are localizers, derived images or no MR images"
    ]


@pytest.mark.case(62)
def test_library_messages_that_name_people_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    def change(dataset: Dataset, _: int) -> None:
        dataset.PatientBirthDate = PATIENT_ID  # no date: pydicom warns, and quotes it

    make_series(tmp_path, change=change)
    caplog.clear()
    recwarn.clear()
    with caplog.at_level(logging.DEBUG):
        series = only_series(tmp_path)
        with pytest.raises(InputError, match="PatientBirthDate"):
            LoadDicomd("image")({"image": series})
    assert PATIENT_ID not in caplog.text
    assert not [one for one in recwarn if PATIENT_ID in str(one.message)]


def test_loading_refuses_in_one_sentence_with_the_pseudonym(tmp_path: Path) -> None:
    make_series(tmp_path, leave_out=[17])
    series = only_series(tmp_path)
    with pytest.raises(InputError, match=rf"^{series.key}: expected images 7.5 mm apart") as caught:
        LoadDicomd("image")({"image": series})
    assert [one["check"] for one in caught.value.findings] == ["dicom_positions"]


def test_nothing_to_choose_from() -> None:
    with pytest.raises(InputError, match="Expected DICOM images"):
        choose_series(Listing((), 0, 0), None)
