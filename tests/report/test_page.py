from __future__ import annotations

import csv
import json

import pytest
from matplotlib.figure import Figure

from scripts.errors import ModelError
from scripts.report.cells import column_groups, format_cell, format_value
from scripts.report.page import Page, Picture, Section, Table, draw_png, to_csv, write_page
from tests.report.pages import ParsedPage

ROWS = [
    {"run": "a", "score": "<b>&x", "auroc": 0.48123, "auroc_low": 0.3, "auroc_high": 0.61, "undefined": ""},
    {"run": "b", "score": "y", "auroc": None, "undefined": "auroc: one class"},
]


def make_page(rows=ROWS) -> Page:
    figure = Figure()
    figure.subplots().plot([0, 1])
    picture = Picture("A <line>", draw_png(figure), "It rises from left to right.")
    figures, more = Table("figures", "Figures", rows, note="A note."), [{"run": "c", "extra": 2}]
    sections = [
        Section("First", "One.\n\nTwo.", [figures], [picture]),
        Section("Second", "", [Table("figures", "More", more), Table("hidden", "Hidden", rows, [])]),
    ]
    return Page("Title & more", {"dataset": "lgg"}, sections, ["Mind <this>."])


def test_page_stands_alone_and_shows_everything(tmp_path):
    page = ParsedPage(write_page(make_page(), tmp_path / "out"))
    page.check_alone()
    for text in ("Title & more", "Mind <this>.", "One.", "Two.", "A note.", "Empty: auroc: one class."):
        assert text in page.text
    assert page.tables["figures"][:3] == [
        ["run", "score", "AUROC"],
        ["a", "<b>&x", "0.481 (0.300 to 0.610)"],
        ["b", "y", "-"],
    ]
    assert "hidden" not in page.tables
    headings = [given["id"] for given in page.attributes("h2")]
    assert [given["href"] for given in page.attributes("a")] == [f"#{name}" for name in headings]


def test_json_and_csv_hold_every_row_of_every_section(tmp_path):
    write_page(make_page(), tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["about"] == {"title": "Title & more", "warnings": ["Mind <this>."], "dataset": "lgg"}
    assert content["texts"] == {"First": "One.\n\nTwo."}
    assert content["tables"] == {"figures": [*ROWS, {"run": "c", "extra": 2}], "hidden": ROWS}
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["auroc"] for row in rows] == ["0.48123", "", ""]
    assert rows[2]["extra"] == "2"


def test_nan_reaches_no_file(tmp_path):
    with pytest.raises(ModelError, match=r"'tables.figures.0.auroc'"):
        write_page(make_page([{"auroc": float("nan")}]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_columns_leave_out_ends_reasons_and_a_run_that_the_section_names():
    assert column_groups(ROWS, None) == ["run", "score", "auroc"]
    assert column_groups(ROWS[:1], None) == ["score", "auroc"]
    assert column_groups(ROWS, ["auroc", "run", "unknown"]) == ["auroc", "run"]
    assert column_groups([{"area_low": 1, "area_high": 2}], None) == ["area_low", "area_high"]


def test_cells_are_short_and_exact():
    assert format_cell(ROWS[0], "missing") == "-"
    assert [format_value(value) for value in (0.0, -0.5, 1.5e-7, 123.456, True, 12, "x")] == [
        "0", "-0.500", "1.50e-07", "123.5", "True", "12", "x"
    ]  # fmt: skip


def test_csv_of_nothing_is_empty():
    assert to_csv([]) == "\n"
