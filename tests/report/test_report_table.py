"""Figures of reports in the docs: kept one by one, joined over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.errors import InputError
from scripts.report.report_results import LAYOUTS, REPORT, report_rows
from scripts.report.report_table import table_maker
from scripts.report.results import Row, append_rows, read_rows

IDENTITY = {"dataset": "lgg", "modality": "t1ce", "split_seed": 0, "machine": "mine", "commit": "abc"}


def kept(folder: Path, *tables: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Return the rows of several reports as the results file gives them back."""
    for one in tables:
        append_rows(folder / "report.csv", [IDENTITY | row for row in report_rows(one)], REPORT)
    return read_rows(folder / "report.csv", REPORT)


def lines(table: str) -> list[dict[str, str]]:
    header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in body]


def correlation(run: str, value: float | None, low: float | None = None, high: float | None = None) -> dict:
    ends = {"spearman_low": low, "spearman_high": high}
    return {"run": run, "region": "inside lesions", "variance": "aleatoric", "spearman": value, **ends}


def test_seeds_of_a_model_are_one_line_and_other_models_have_their_own(tmp_path: Path) -> None:
    first = {"correlation": [correlation("unet 0", 0.1, -0.2, 0.3), correlation("vae", 0.5)]}
    second = {"correlation": [correlation("unet 1", 0.3, 0.0, 0.5)]}
    (unet, vae) = lines(table_maker("correlation")(kept(tmp_path, first, second)))
    assert unet == {
        "Data": "lgg t1ce",
        "Model": "unet",
        "Where": "inside lesions",
        "Figure": "rank correlation",
        "aleatoric variance": "0.200 ± 0.141 (-0.100 to 0.400)",
        "Runs": "2",
    }
    assert (vae["Model"], vae["aleatoric variance"], vae["Runs"]) == ("vae", "0.500", "1")


def test_a_cell_of_fewer_runs_than_its_line_says_so(tmp_path: Path) -> None:
    other = correlation("unet 0", 0.2) | {"variance": "epistemic"}
    first = {"correlation": [correlation("unet 0", 0.1), other]}
    second = {"correlation": [correlation("unet 1", 0.3)]}
    (line,) = lines(table_maker("correlation")(kept(tmp_path, first, second)))
    assert (line["aleatoric variance"], line["Runs"]) == ("0.200 ± 0.141", "2")
    assert line["epistemic variance"] == "0.200, 1 of 2 runs"


def test_a_report_made_again_replaces_its_rows(tmp_path: Path) -> None:
    one, other = ({"correlation": [correlation("unet 0", value)]} for value in (0.1, 0.9))
    (line,) = lines(table_maker("correlation")(kept(tmp_path, one, other)))
    assert line["aleatoric variance"] == "0.900"


def test_undefined_figures_have_no_row_and_attention_is_that_of_all_heads(tmp_path: Path) -> None:
    heads = [
        {"run": "unet 0", "layer": "coarsest", "head": head, "entropy_normal": value, "boundary_ratio": None}
        for head, value in ((1, 0.25), ("all", 0.75))
    ]
    rows = report_rows({"attention": heads, "correlation": [correlation("unet 0", None)]})
    assert [(row["table"], row["figure"], row["value"]) for row in rows] == [
        ("attention", "Entropy, normal", 0.75)
    ]
    (line,) = lines(table_maker("attention")(kept(tmp_path, {"attention": heads})))
    assert (line["Layer"], line["Entropy, normal"]) == ("coarsest", "0.750")


def test_columns_stand_in_the_order_of_the_report(tmp_path: Path) -> None:
    sizes = [
        {"run": "unet 0", "area_low": area, "auroc_matched": value, "sensitivity": 0.5}
        for area, value in ((50.0, 0.4), (300.0, 0.6))
    ]
    first, second = lines(table_maker("lesion_sizes")(kept(tmp_path, {"lesion_sizes": sizes})))
    assert list(first) == ["Data", "Model", "Figure", "From 50 mm²", "From 300 mm²", "Runs"]
    assert (first["Figure"], first["From 50 mm²"], first["From 300 mm²"]) == (
        "matched AUROC",
        "0.400",
        "0.600",
    )
    assert second["Figure"] == "sensitivity"


@pytest.mark.parametrize("table", LAYOUTS)
def test_every_table_says_when_nothing_is_kept(table: str) -> None:
    assert table_maker(table)([]) == "No report has been kept yet."


def test_a_cell_that_is_no_number_is_refused(tmp_path: Path) -> None:
    (row,) = kept(tmp_path, {"correlation": [correlation("unet 0", 0.1)]})
    with pytest.raises(InputError, match="Expected numbers in the results column value"):
        table_maker("correlation")([row | {"value": "many"}])
