"""Series among DICOM files: listed by pseudonym, chosen by rule or name, from folders and archives."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from scripts.data import dicom_files
from scripts.data.dicom_choice import choose_series, find_series, table
from scripts.data.dicom_series import Kind, Listing, Series, list_series, pseudonym
from scripts.errors import InputError, ResourceError, ScopeError
from tests.dicom_files import NAME, PATIENT_ID, PHYSICIAN, make_datasets, make_series, save, volume, zip_files

SMALL = volume()[:3]


def described(text: str, **attributes: object) -> Callable[[Dataset, int], None]:
    def change(dataset: Dataset, _: int) -> None:
        dataset.SeriesDescription = text
        for name, value in attributes.items():
            setattr(dataset, name, value)

    return change


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients: one with a T1, a FLAIR, reformatted images, a localizer and a CT; one with a T1."""
    folder = tmp_path_factory.mktemp("several")
    kinds = {
        "1.2.3.1": described("t1 post"),
        "1.2.3.2": described("ax FLAIR"),
        "1.2.3.3": described("t1 post MPR", ImageType=["DERIVED", "SECONDARY", "MPR"]),
        "1.2.3.4": described("scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        "1.2.3.5": described("head", SOPClassUID=CTImageStorage, Modality="CT"),
    }
    for series, change in kinds.items():
        make_series(folder, SMALL, change, series=series)
    other = described("T1 POST", PatientID="other-1", PatientName="Roe^Richard")
    make_series(folder / "deeper", SMALL, other, series="1.2.4.1", study="1.2.4")
    (folder / "readme.txt").write_text("no DICOM")
    return folder


def one_patient(listing: Listing) -> Listing:
    """Return the series of the first study only."""
    study = next(one.study for one in listing.series if one.uid == "1.2.3.1")
    return Listing(tuple(one for one in listing.series if one.study == study), 0, 0)


def uids(series: list[Series]) -> set[str]:
    return {one.uid for one in series}


def test_listing_tells_kinds_patients_and_other_files(several: Path) -> None:
    listing = list_series(several)
    kinds = {one.uid: one.kind for one in listing.series}
    assert kinds == {
        "1.2.3.1": Kind.ORIGINAL,
        "1.2.3.2": Kind.ORIGINAL,
        "1.2.3.3": Kind.DERIVED,
        "1.2.3.4": Kind.LOCALIZER,
        "1.2.3.5": Kind.OTHER,
        "1.2.4.1": Kind.ORIGINAL,
    }
    assert listing.not_dicom == 1
    assert len({one.patient for one in listing.series}) == 2
    assert all(len(one.files) == 3 for one in listing.series)


@pytest.mark.case(56)
def test_several_series_need_a_word_which_and_are_described(several: Path) -> None:
    with pytest.raises(InputError, match="expected one original MR series, found 2") as caught:
        find_series(several)
    for text in ("'t1 post'", "'ax FLAIR'", pseudonym("series", "1.2.3.1"), "3 files", "--series"):
        assert text in str(caught.value)
    assert "MPR" not in str(caught.value)


@pytest.mark.case(56)
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("1.2.3.2", {"1.2.3.2"}),
        (pseudonym("series", "1.2.3.2"), {"1.2.3.2"}),
        ("T1*", {"1.2.3.1", "1.2.4.1"}),
        ("*", {"1.2.3.1", "1.2.3.2", "1.2.4.1"}),
        ("1.2.3.3", {"1.2.3.3"}),
        (["*flair", "1.2.4.1", "*FLAIR"], {"1.2.3.2", "1.2.4.1"}),
    ],
)
def test_series_are_chosen_by_uid_pseudonym_or_pattern(several: Path, wanted: str, found: set[str]) -> None:
    assert uids(choose_series(list_series(several), wanted)) == found


def test_the_only_original_series_needs_no_word(several: Path) -> None:
    listing = list_series(several)
    only = Listing(tuple(one for one in listing.series if one.uid != "1.2.3.2"), 0, 0)
    assert uids(choose_series(only, None)) == {"1.2.3.1", "1.2.4.1"}


@pytest.mark.case(57)
@pytest.mark.parametrize("wanted", ["1.2.3.4", "1.2.3.5"])
def test_localizers_and_other_modalities_are_never_taken(several: Path, wanted: str) -> None:
    listing = list_series(several)
    with pytest.raises(ScopeError, match="Expected MR images for --series, got series_"):
        choose_series(listing, wanted)
    alone = Listing(tuple(one for one in listing.series if one.uid == wanted), 0, 0)
    with pytest.raises(ScopeError, match="Expected an original MR series, found series_"):
        choose_series(alone, None)


def test_a_name_that_fits_nothing_is_refused_with_what_is_there(several: Path) -> None:
    with pytest.raises(InputError, match=r"as --series 't2\*' names it, found .*ax FLAIR"):
        choose_series(one_patient(list_series(several)), "t2*")


@pytest.mark.case(57)
def test_localizer_and_screenshot_inside_a_series_are_left_out(tmp_path: Path) -> None:
    def change(dataset: Dataset, index: int) -> None:
        if index == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        if index == 1:
            dataset.SOPClassUID = SecondaryCaptureImageStorage

    make_series(tmp_path, volume()[:5], change)
    series = list_series(tmp_path).series[0]
    assert (series.kind, len(series.files), series.left_out) == (Kind.ORIGINAL, 3, 2)


def test_nobody_is_named_unless_asked(several: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        records = find_series(several, "*")
        listing = list_series(several)
    plain = caplog.text + table(listing) + "".join(record["case"] + record["patient"] for record in records)
    for secret in (NAME, PATIENT_ID, PHYSICIAN, "Doe", "other-1", "1.2.3.1", "1.2.4"):
        assert secret not in plain
    asked = table(listing, identifiers=True)
    assert PATIENT_ID in asked
    assert "UID 1.2.3.1" in asked
    assert any(
        record["case"].startswith(PATIENT_ID) for record in find_series(several, "*", identifiers=True)
    )


def test_archive_and_folder_hold_the_same_series(tmp_path: Path) -> None:
    files = make_series(tmp_path / "folder", SMALL)
    archive = zip_files(tmp_path / "series.zip", files)
    packed, plain = (find_series(place)[0]["image"] for place in (archive, tmp_path / "folder"))
    assert (packed.key, packed.sha256, len(packed.files)) == (plain.key, plain.sha256, 3)
    assert [path.name for path in tmp_path.iterdir()] != []
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "series.zip"}  # nothing was unpacked


def test_hash_tells_another_pixel(tmp_path: Path) -> None:
    datasets = make_datasets(SMALL)
    save(tmp_path / "one", datasets)
    datasets[1].PixelData = b"\1" + datasets[1].PixelData[1:]
    save(tmp_path / "two", datasets)
    one, two = (find_series(tmp_path / name)[0]["image"] for name in ("one", "two"))
    assert one.key == two.key
    assert one.sha256 != two.sha256


@pytest.mark.case(66)
@pytest.mark.parametrize(
    "name", ["../evil.dcm", "a/../../evil.dcm", "/etc/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm"]
)
def test_archive_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    files = make_series(tmp_path / "folder", SMALL)
    archive = zip_files(tmp_path / "series.zip", files)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.write(files[0], "good.dcm")
        opened.writestr(zipfile.ZipInfo(name), files[0].read_bytes())
    with pytest.raises(InputError, match=r"series.zip: .*its entry 5 points outside") as caught:
        find_series(archive)
    assert "evil" not in str(caught.value)


@pytest.mark.case(66)
def test_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "series.zip", make_series(tmp_path / "folder", SMALL))
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="entry 4 points outside of it or is a link"):
        find_series(archive)


def test_damaged_archive_and_missing_folder_are_refused(tmp_path: Path) -> None:
    archive = zip_files(tmp_path / "series.zip", make_series(tmp_path / "folder", SMALL))
    content = bytearray(archive.read_bytes())
    content[60:200] = bytes(140)
    archive.write_bytes(content)
    assert list_series(archive).damaged == 1
    archive.write_bytes(content[:-100])
    with pytest.raises(InputError, match="series.zip: expected a sound zip archive"):
        find_series(archive)
    with pytest.raises(InputError, match="does not exist"):
        find_series(tmp_path / "nowhere")


@pytest.mark.case(66)
def test_archive_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zip_files(tmp_path / "series.zip", make_series(tmp_path / "folder", SMALL))
    monkeypatch.setattr(dicom_files.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(ResourceError, match="series.zip: expected files that fit into memory"):
        find_series(archive)


def test_index_of_a_disc_is_no_damaged_file(tmp_path: Path) -> None:
    disc = FileSet()
    for file in make_series(tmp_path / "folder", SMALL):
        disc.add(file)
    disc.write(tmp_path / "disc")
    assert (tmp_path / "disc" / "DICOMDIR").is_file()
    listing = list_series(tmp_path / "disc")
    assert (len(listing.series), listing.damaged, listing.not_dicom) == (1, 0, 0)


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="Expected DICOM images, found none among 1 other and 0 damaged"):
        find_series(tmp_path)


def test_several_modalities_are_refused(several: Path) -> None:
    with pytest.raises(InputError, match="Expected one modality for DICOM, got t1ce, flair"):
        find_series(several, "*", modalities=("t1ce", "flair"))


def test_number_that_is_none_stops_no_listing(tmp_path: Path) -> None:
    files = make_series(tmp_path, SMALL, lambda dataset, _: setattr(dataset, "SeriesNumber", 1234))
    for file in files:
        content = file.read_bytes()
        place = content.index(b"\x20\x00\x11\x00IS") + 8
        file.write_bytes(content[:place] + b"1.5" + content[place + 3 :])
    (series,) = list_series(tmp_path).series
    assert (series.number, len(series.files)) == ("1.54", 3)
    assert "number 1.54" in series.line
