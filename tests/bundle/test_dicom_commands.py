"""DICOM through the command line: exit codes, one sentence, and no word about people anywhere."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.engines.dicom_inspector import DicomInspector
from scripts.errors import InputError
from scripts.preflight.rules import Rules
from tests.bundle.commands import Ended, WarmCommands
from tests.bundle.conftest import TINY_NETWORK
from tests.dicom_files import NAME, PATIENT_ID, PHYSICIAN, make_series, zip_files

CONFIGS = "['configs/inference.json','configs/inference_dicom.yaml']"
SECRETS = (NAME, PATIENT_ID, PHYSICIAN, "Doe", "1.2.3.1", "19700101", "A-17")

Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def run(commands: WarmCommands, random_model: Path) -> Run:
    """Run one of the DICOM commands with the tiny network."""

    def start(what: str, place: Path, output: Path, *options: str, pictures: bool = False) -> Ended:
        paths = (f"--model_dir={random_model}", f"--dataset_dir={place}", f"--output_dir={output}")
        return commands.run(
            "run", what, "--config_file", CONFIGS, *paths, *TINY_NETWORK, *options, pictures=pictures
        )

    return start


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole series, and one of another study that lacks an image; files are called as the patient."""
    folder = tmp_path_factory.mktemp("archive")
    whole = make_series(folder / "a", series="1.2.3.1")
    files = whole + make_series(folder / "b", series="1.2.4.1", study="1.2.4", leave_out=[17])
    named = [path.rename(path.with_name(f"{NAME}_{path.name}")) for path in files]
    return zip_files(folder / "scans.zip", named)


@pytest.fixture(scope="module")
def finished(run: Run, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    output = tmp_path_factory.mktemp("output") / "maps"
    return output, run("inference", archive, output, pictures=True)


@pytest.mark.case(55)
def test_bad_series_is_refused_and_the_good_one_finished(finished: tuple[Path, Ended]) -> None:
    output, ended = finished
    assert ended.code == 2
    assert ended.error.startswith("error: 1 of 2 scans failed, the others are finished. series_")
    assert "expected images 7.5 mm apart, found 15 mm between" in ended.error
    results = [json.loads(path.read_text()) for path in output.glob("*/*_result.json")]
    assert sorted(one["status"] for one in results) == ["failed", "ok"]
    assert {one["exit_code"] for one in results} == {0, 2}
    good = next(one for one in results if one["status"] == "ok")
    written = {path.name for path in (output / good["case"]).iterdir()}
    assert written == {one["name"] for one in good["outputs"].values()} | {f"{good['case']}_result.json"}


@pytest.mark.case(62)
def test_nobody_is_named_in_messages_results_and_file_names(finished: tuple[Path, Ended]) -> None:
    output, ended = finished
    texts = [ended.out, ended.err, *(str(path.relative_to(output)) for path in output.rglob("*"))]
    texts += [path.read_text() for path in output.rglob("*") if path.suffix in (".json", ".csv")]
    pages = [path.read_text() for path in output.rglob("*.html")]
    assert len(pages) == 2  # of the series, and the list
    # Any three letters are somewhere in the code of a picture.
    texts += [re.sub(r"base64,[\w+/=]+", "", page) for page in pages]
    assert len(texts) > 12
    for secret in SECRETS:
        assert not [text for text in texts if secret in text], secret


def test_finished_series_is_skipped(finished: tuple[Path, Ended], run: Run, archive: Path) -> None:
    output = finished[0]
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.dcm")}
    assert len(before) == 7
    assert run("inference", archive, output).code == 2
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.dcm")} == before


def test_listing_names_series_and_people_only_when_asked(run: Run, archive: Path, tmp_path: Path) -> None:
    plain = run("listing", archive, tmp_path / "maps").check().out
    assert plain.count("'t1 post', MR, original") == 2
    assert not [secret for secret in SECRETS if secret in plain]
    asked = run("listing", archive, tmp_path / "maps", "--identifiers", "true").check().out
    assert f"patient ID {PATIENT_ID}, UID 1.2.3.1" in asked
    assert not (tmp_path / "maps").exists()


def test_preflight_checks_series_and_writes_nothing_else(run: Run, archive: Path, tmp_path: Path) -> None:
    ended = run("preflight", archive, tmp_path / "maps")
    assert ended.code == 2
    assert "refusal  dicom_positions expected images 7.5 mm apart" in ended.out
    rows = json.loads((tmp_path / "maps" / "preflight.json").read_text())["scans"]
    assert sorted(row["files"] for row in rows) == [["21 files"], ["22 files"]]
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["preflight.json"]


@pytest.mark.case(56)
def test_series_and_identifiers_are_settings(run: Run, archive: Path, tmp_path: Path) -> None:
    options = ("--series", "1.2.3.1", "--identifiers", "true")
    run("inference", archive, tmp_path / "maps", *options).check()
    (folder,) = (path for path in (tmp_path / "maps").glob("[!.]*") if path.is_dir())
    assert folder.name.startswith(f"{PATIENT_ID}_series_")
    refused = run("inference", archive, tmp_path / "none", "--series", "t2*")
    assert refused.code == 2
    assert "as --series 't2*' names it, found series_" in refused.error


@pytest.mark.case(66)
def test_archive_that_points_outside_is_refused_before_anything(run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("../evil.dcm", b"x")
    ended = run("inference", archive, tmp_path / "maps")
    assert ended.code == 2
    assert ended.error.startswith("error: evil.zip: expected files inside of the archive")
    assert {path.name for path in tmp_path.iterdir()} == {"evil.zip"}
    assert not (tmp_path.parent / "evil.dcm").exists()


def test_rules_of_nifti_files_are_refused(run: Run, archive: Path, tmp_path: Path) -> None:
    ended = run("inference", archive, tmp_path / "maps", "--volume=1")
    assert ended.code == 2
    assert "Expected --single_slice at most for DICOM" in ended.error


@pytest.mark.parametrize(
    "rules", [Rules(assume_identity=True), Rules(resample_to="first"), Rules(brain_mask="apply")]
)
def test_each_rule_of_nifti_files_is_refused(rules: Rules) -> None:
    with pytest.raises(InputError, match="Expected --single_slice at most"):
        DicomInspector(None, rules, gate=None, network=None)
