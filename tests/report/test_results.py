from __future__ import annotations

from enum import StrEnum

import numpy as np
import pandas as pd
import pytest

from scripts.errors import InputError
from scripts.evaluation.slice_report import evaluate_slices
from scripts.report.results import DETECTION, Schema, append_rows, read_rows

ROW = {
    "dataset": "lgg",
    "modality": "t1ce",
    "configuration": "vae",
    "score": "nll",
    "seed": 0,
    "split_seed": 0,
}

HEADER = ",".join(DETECTION.key)


class Score(StrEnum):
    NLL = "nll"


def test_written_values_come_back(tmp_path):
    file = tmp_path / "new" / "detection.csv"
    append_rows(
        file,
        [
            ROW
            | {
                "score": Score.NLL,
                "auroc_balanced": 0.123456789,
                "ap_balanced": np.float32(0.5),
                "slices_normal": np.int64(12),
                "auroc_patient": None,
                "undefined": "auroc_patient, ap_patient: no normal patient among 3",
            }
        ],
    )
    (row,) = read_rows(file)
    assert list(row) == [*DETECTION.key, *DETECTION.values]
    assert row["score"] == "nll"
    assert (row["auroc_balanced"], row["ap_balanced"], row["slices_normal"]) == ("0.123457", "0.5", "12")
    assert (row["auroc_patient"], row["minutes"]) == ("", "")
    assert row["undefined"] == "auroc_patient, ap_patient: no normal patient among 3"


def test_a_row_of_the_same_key_takes_the_place_of_the_old_one(tmp_path):
    file = tmp_path / "detection.csv"
    append_rows(file, [ROW | {"seed": seed, "minutes": 10} for seed in (0, 1, 2)])
    append_rows(file, [ROW | {"seed": 1, "minutes": 99}, ROW | {"seed": 3, "minutes": 5}])
    assert [(row["seed"], row["minutes"]) for row in read_rows(file)] == [
        ("0", "10"),
        ("1", "99"),
        ("2", "10"),
        ("3", "5"),
    ]


@pytest.mark.parametrize("column", DETECTION.key)
def test_every_part_of_the_key_tells_rows_apart(tmp_path, column):
    file = tmp_path / "detection.csv"
    append_rows(file, [ROW, ROW | {column: "other"}, ROW | {column: None}, ROW])
    assert len(read_rows(file)) == 3


def test_appending_the_same_rows_again_changes_no_byte(tmp_path):
    file = tmp_path / "detection.csv"
    rows = [ROW | {"auroc_matched": 0.1 + 0.2, "note": 'says "a, b"'}, ROW | {"seed": None}]
    append_rows(file, rows)
    before = file.read_bytes()
    append_rows(file, rows)
    assert file.read_bytes() == before
    assert read_rows(file)[0]["note"] == 'says "a, b"'


def test_further_columns_follow_the_known_ones(tmp_path):
    file = tmp_path / "detection.csv"
    append_rows(file, [ROW | {"device": "cpu"}])
    append_rows(file, [ROW | {"seed": 1, "threads": 2}])
    rows = read_rows(file)
    assert list(rows[0]) == [*DETECTION.key, *DETECTION.values, "device", "threads"]
    assert [(row["device"], row["threads"]) for row in rows] == [("cpu", ""), ("", "2")]


def test_rows_of_the_slice_report_fit(tmp_path):
    facts = pd.DataFrame(
        {"case": list("aabbcc"), "patient": list("aabbcc"), "level": [0.5] * 6, "label": [0, 1] * 3}
    )
    (measured,) = evaluate_slices(facts, {"position": np.arange(6)}, bootstrap_samples=10)
    append_rows(tmp_path / "detection.csv", [ROW | measured])
    (row,) = read_rows(tmp_path / "detection.csv")
    assert set(row) == {*DETECTION.key, *DETECTION.values}
    assert row["score"] == "position"
    assert float(row["auroc_matched"]) == pytest.approx(measured["auroc_matched"], abs=1e-6)


def test_a_failed_append_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "detection.csv"
    append_rows(file, [ROW])
    before = file.read_bytes()
    with pytest.raises(InputError, match="finite number or None for minutes, got nan"):
        append_rows(file, [ROW | {"seed": 1}, ROW | {"seed": 2, "minutes": float("nan")}])
    with pytest.raises(InputError, match="got none of split_seed"):
        append_rows(file, [{key: value for key, value in ROW.items() if key != "split_seed"}])
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["detection.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a results file, found none"),
        ("", "got none of dataset"),
        (HEADER + "\na,b,c,d,e,f\na,b,c,d,e,f,g\n", "expected 6 values a line, got more in line 3"),
        (HEADER + '\n"a"b,c\n', "expected a table of comma-separated values"),
        ("dataset,modality\nlgg,t1ce\n", "got none of configuration, score, seed, split_seed"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, message):
    file = tmp_path / "detection.csv"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_rows(file)
    assert str(file) in str(error.value)


def test_rows_of_a_measurement_replace_all_that_it_had(tmp_path) -> None:
    """A figure that is no longer measured would else stay from another recipe."""
    file, schema = tmp_path / "rows.csv", Schema(("seed", "score"), parts=("score",), values=())
    append_rows(file, [{"seed": seed, "score": score} for seed in (0, 1) for score in ("a", "b")], schema)
    append_rows(file, [{"seed": 0, "score": score} for score in ("b", "c")], schema)
    found = [(row["seed"], row["score"]) for row in read_rows(file, schema)]
    assert found == [("0", "b"), ("1", "a"), ("1", "b"), ("0", "c")]
