"""The report as users make it: from a trained folder to one page, JSON and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.quintiles import score_by_quintile
from scripts.report.report_results import REPORT
from scripts.report.results import read_rows
from tests.bundle.commands import Ended, WarmCommands
from tests.report.pages import ParsedPage

CONFIGS = "['configs/train.yaml','configs/report.yaml']"
TABLES = {
    "attention",
    "correlation",
    "coverage",
    "curves",
    "detection",
    "lesion_sizes",
    "normal_range",
    "patients",
    "pixels",
    "quintiles",
    "risk_coverage",
    "slices",
    "summary",
    "thresholds",
    "worst_slices",
    "z_histogram",
}


@pytest.fixture(scope="module")
def reported(
    commands: WarmCommands,
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a report on the tiny training."""
    folder = tmp_path_factory.mktemp("report")
    options = (f"--report_dir={folder}", f"--output_dir={tiny_run[0]}", *tiny_options)
    few = ("--bootstrap_samples=20", "--pictures=1", f"--results_file={folder.with_suffix('.csv')}")
    commands.run("run", "report", "--config_file", CONFIGS, *options, *few).check()
    return folder


def test_figures_for_the_docs_are_those_of_the_report(reported: Path) -> None:
    kept = read_rows(reported.with_suffix(".csv"), REPORT)
    assert {row["dataset"] for row in kept} == {"cohort"}
    for row in tables(reported)["coverage"]:
        (same,) = (
            one
            for one in kept
            if (one["table"], one["part"], one["place"]) == ("coverage", row["region"], str(row["nominal"]))
        )
        assert float(same["value"]) == pytest.approx(row["observed"], rel=1e-5)


def tables(folder: Path) -> dict[str, list[dict]]:
    return json.loads((folder / "report.json").read_text())["tables"]


def test_page_needs_nothing_but_itself(reported: Path) -> None:
    page = ParsedPage(reported / "report.html")
    page.check_alone()
    assert len(page.attributes("img")) >= 7
    assert "Research use only" in page.text
    assert "Both variances are of a lesion's probability" in page.text
    assert {"detection", "pixels", "quintiles", "coverage", "patients"} <= page.tables.keys()


def test_json_and_csv_say_the_same(reported: Path) -> None:
    assert {path.name for path in reported.iterdir()} == {
        "report.html",
        "report.json",
        *(f"{name}.csv" for name in TABLES),
    }
    for name, rows in tables(reported).items():
        with (reported / f"{name}.csv").open(newline="") as file:
            read = list(csv.DictReader(file))
        columns = read[0].keys() if read else ()
        assert read == [
            {column: "" if row.get(column) is None else str(row[column]) for column in columns}
            for row in rows
        ]


def test_figures_are_those_of_the_metrics_on_the_slices_of_the_report(reported: Path) -> None:
    content = tables(reported)
    slices = pd.DataFrame(content["slices"])
    known = slices[slices["label"] != -1]
    (row,) = (row for row in content["detection"] if row["score"] == "lesion, peak, 6 mm")
    assert row["auroc_matched"] == pytest.approx(
        matched_auroc(known["score"], known["label"], known["level"])
    )
    columns = (known[name] for name in ("score", "label", "epistemic", "patient"))
    expected = score_by_quintile(*columns, bootstrap_samples=20)
    found = [row for row in content["quintiles"] if row["uncertainty"] == "epistemic"]
    for one, other in zip(found, expected, strict=True):
        assert {name: one[name] for name in other} == pytest.approx(other)


def test_figures_are_those_of_the_evaluation(reported: Path, evaluated: tuple[Path, Ended]) -> None:
    rows = {row["score"]: row for row in json.loads((evaluated[0] / "metrics.json").read_text())}
    for row in [*tables(reported)["detection"], *tables(reported)["summary"]]:
        for metric in ("auroc_balanced", "ap_balanced", "auroc_matched", "auroc_matched_low"):
            assert row[metric] == pytest.approx(rows[row["score"]][metric])
    pixel = next(row for row in tables(reported)["pixels"] if row["map"].startswith("anomaly"))
    assert pixel["ap_pixel"] == pytest.approx(rows["lesion, peak, 6 mm"]["ap_pixel"])


def test_a_run_that_saw_the_test_patients_is_refused_in_one_sentence(
    commands: WarmCommands, tiny_run: tuple[Path, Ended], tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    split = json.loads((tiny_run[0] / "split.json").read_text())
    split["training"], split["test"] = split["test"], split["training"]
    (tmp_path / "split.json").write_text(json.dumps(split))
    options = (f"--runs=['{tiny_run[0]}']", f"--split_file={tmp_path / 'split.json'}", *tiny_options)
    ended = commands.run("run", "report", "--config_file", CONFIGS, *options, f"--output_dir={tmp_path}")
    assert ended.code == 2
    assert "expected no test patient among those the run was trained or chosen on" in ended.error


def test_report_on_another_set_measures_patients_that_were_not_trained_on(
    commands: WarmCommands,
    reported: Path,
    tiny_run: tuple[Path, Ended],
    tiny_options: tuple[str, ...],
    tiny_cohort: Path,
) -> None:
    configs = "['configs/train.yaml','configs/report.yaml','configs/transfer.yaml']"
    options = (f"--test_dir={tiny_cohort}", "--test_name=other", f"--output_dir={tiny_run[0]}", *tiny_options)
    few = ("--bootstrap_samples=20", "--pictures=1")
    commands.run("run", "report", "--config_file", configs, *options, *few).check()
    # On the set itself these are the test patients.
    assert tables(tiny_run[0] / "report_other")["patients"] == tables(reported)["patients"]
