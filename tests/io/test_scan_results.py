import csv
import json
import locale
import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.errors import InputError, ModelError
from scripts.io.digest import file_sha256
from scripts.io.results import (
    SCORE_COLUMNS,
    Calibration,
    InputFile,
    ScanResult,
    SliceResult,
    Status,
    read_result,
    result_path,
    scan_score,
    write_result,
    write_scores_csv,
)


class Colour(StrEnum):
    RED = "red"


def make_result(case="case_1", **changes):
    content = {
        "status": Status.OK,
        "scan_score": 0.75,
        "inputs": [InputFile("scan.nii.gz", "a" * 64)],
        "weights_sha256": "b" * 64,
        "settings": {"score": Colour.RED, "samples": 5, "field_of_view": 240.0},
        "calibration": Calibration("validation slices of lgg", 0.1, 0.6),
        "slices": [
            SliceResult(0),
            SliceResult(1, 0.2, 0.5, False, 0.01, 0.1),
            SliceResult(2, 0.4, np.float32(1.0), True, 0.03, 0.3),
        ],
    }
    return ScanResult(case, **(content | changes))


def read_rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8", newline="")))


def test_result_round_trip(tmp_path):
    result = make_result()
    path = write_result(result_path(tmp_path, "case_1"), result)
    assert path == tmp_path / "case_1" / "case_1_result.json"
    assert read_result(path) == result


def test_json_has_null_for_skipped_slices_and_missing_thresholds(tmp_path):
    result = make_result(calibration=Calibration(reason="no calibration for these weights"))
    data = json.loads(write_result(tmp_path / "r.json", result).read_text())
    assert data["slices"][0] == {
        "slice": 0,
        "level": None,
        "score": None,
        "abnormal": None,
        "epistemic_mean": None,
        "aleatoric_mean": None,
    }
    assert data["calibration"]["slice_threshold"] is None
    assert data["calibration"]["reason"] == "no calibration for these weights"
    assert data["status"] == "ok"
    assert data["settings"]["score"] == "red"
    assert set(data["versions"]) == {"bundle", "monai", "torch", "numpy"}


@pytest.mark.case(67)
def test_created_is_now_in_utc():
    created = datetime.fromisoformat(make_result().created)
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created) < timedelta(seconds=5)


def test_a_score_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ModelError, match="scan_score"):
        write_result(tmp_path / "r.json", make_result(scan_score=math.nan))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"status": "great"}', '{"status": "ok", "inputs": [{"path": "x"}]}']
)
def test_files_that_are_no_results_are_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=r"r\.json"):
        read_result(tmp_path / "r.json")


def test_input_file_keeps_the_name_without_the_folder(tmp_path):
    folder = tmp_path / "Jane Doe"
    folder.mkdir()
    (folder / "scan.nii").write_bytes(b"abc")
    entry = InputFile.from_path(folder / "scan.nii")
    assert entry.name == "scan.nii"
    assert entry.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(folder / "scan.nii") == entry.sha256


def slow_scan_score(scores, k):
    left, taken = [score for score in scores if score is not None], []
    while left and len(taken) < k:
        taken.append(left.pop(left.index(max(left))))
    return math.fsum(taken) / len(taken) if taken else None


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=30), st.integers(1, 40))
def test_scan_score_equals_a_slow_reference(scores, k):
    assert scan_score(scores, k) == pytest.approx(slow_scan_score(scores, k), abs=1e-6)


def test_scan_score_edges():
    assert scan_score([], 3) is None
    assert scan_score([None, None], 3) is None
    assert scan_score([None, -1.0, -2.0], 5) == -1.5
    with pytest.raises(InputError, match="k = 0"):
        scan_score([1.0], 0)


def test_scores_csv_rows(tmp_path):
    failed = ScanResult("a_failed", status=Status.FAILED, reason="truncated:\nhas 3, of 9 bytes")
    undecided = make_result("b", slices=[SliceResult(4, 0.5, -2.0), SliceResult(5, 0.6, -1.0)])
    path = write_scores_csv(tmp_path / "out" / "scores.csv", [make_result("c"), undecided, failed])
    rows = read_rows(path)
    assert tuple(rows[0]) == SCORE_COLUMNS
    assert [row["case"] for row in rows] == ["a_failed", "b", "c"]
    assert rows[0]["reason"] == "truncated: has 3, of 9 bytes"
    assert rows[0]["scan_score"] == rows[0]["highest_slice"] == rows[0]["epistemic_mean"] == ""
    assert (rows[0]["status"], rows[0]["slices_scored"]) == ("failed", "0")
    assert (rows[1]["highest_slice"], rows[1]["highest_slice_score"]) == ("5", "-1")
    assert rows[1]["slices_abnormal"] == ""
    assert (rows[2]["slices_scored"], rows[2]["slices_abnormal"], rows[2]["highest_slice"]) == ("2", "1", "2")
    assert (rows[2]["epistemic_mean"], rows[2]["aleatoric_mean"]) == ("0.02", "0.2")
    assert rows[2]["scan_score"] == "0.75"


def test_scores_csv_is_empty_but_whole_without_scans(tmp_path):
    assert write_scores_csv(tmp_path / "scores.csv", []).read_text() == ",".join(SCORE_COLUMNS) + "\n"


@pytest.mark.case(67)
def test_scores_csv_keeps_the_decimal_point_under_a_comma_locale(tmp_path, monkeypatch):
    monkeypatch.setitem(locale._override_localeconv, "decimal_point", ",")
    assert locale.str(0.5) == "0,5"
    rows = read_rows(write_scores_csv(tmp_path / "scores.csv", [make_result(scan_score=1 / 3)]))
    assert rows[0]["scan_score"] == "0.333333333"


def test_results_carry_no_folder(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"scan")
    result = make_result(inputs=[InputFile.from_path(tmp_path / "scan.nii.gz")])
    text = write_result(tmp_path / "r.json", result).read_text()
    assert '"scan.nii.gz"' in text
    assert str(tmp_path) not in text
