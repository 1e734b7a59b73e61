from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import BUNDLE_ROOT
from scripts.errors import InputError
from scripts.report.detection_table import detection_table, summary_table
from scripts.report.results import append_rows, read_rows
from scripts.report.tables import main, replace_table

PAGE = "# Title\n\n<!-- table:detection -->\nold\n<!-- /table:detection -->\n\nAfter.\n"


def make_row(**values) -> dict:
    row = {
        "dataset": "lgg",
        "modality": "t1ce",
        "configuration": "vae",
        "score": "nll",
        "seed": 0,
        "split_seed": 0,
        "auroc_matched": 0.6,
        "auroc_matched_low": 0.5,
        "auroc_matched_high": 0.7,
        "patients_test": 9,
        "minutes": 12.34,
        "machine": "2 CPU cores",
        "commit": "0123456789abcdef",
    }
    return row | values


def make_baseline_row(name: str, matched: float, **values) -> dict:
    return make_row(
        configuration="trivial",
        score=name,
        seed=None,
        auroc_matched=matched,
        auroc_matched_low=None,
        minutes=None,
        **values,
    )


@pytest.fixture
def results(tmp_path) -> Path:
    rows = [make_row(seed=seed, auroc_matched=value) for seed, value in enumerate((0.60, 0.62, 0.64))]
    rows += [make_baseline_row("position", 0.55), make_baseline_row("asymmetry", 0.58)]
    append_rows(tmp_path / "detection.csv", rows)
    return tmp_path / "detection.csv"


def read_table(markdown: str) -> list[dict[str, str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    header, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(header, cells, strict=True)) for cells in body]


def table_of(tmp_path: Path, rows: list[dict]) -> list[dict[str, str]]:
    append_rows(tmp_path / "rows.csv", rows)
    return read_table(detection_table(read_rows(tmp_path / "rows.csv")))


def test_seeds_become_one_line_with_mean_deviation_and_interval(results):
    model, asymmetry, position = read_table(detection_table(read_rows(results)))
    assert model == {
        "Data": "lgg t1ce",
        "Model": "vae",
        "Score": "nll",
        "Matched AUROC": "0.620 ± 0.020 (0.500 to 0.700)",
        "Above trivial": "unclear (asymmetry 0.580)",
        "Test patients": "9",
        "Seeds": "3",
        "Splits": "1",
        "Minutes": "12.3",
        "Machine": "2 CPU cores",
        "Commit": "0123456",
    }
    assert (asymmetry["Model"], asymmetry["Score"], asymmetry["Seeds"]) == ("trivial", "asymmetry", "-")
    assert (position["Score"], position["Matched AUROC"], position["Minutes"]) == ("position", "0.550", "-")


def test_an_interval_that_not_every_row_has_is_neither_shown_nor_relied_on(tmp_path):
    rows = [make_row(seed=0, auroc_matched=0.9, auroc_matched_low=0.8, auroc_matched_high=0.95)]
    rows.append(make_row(seed=1, auroc_matched=0.8, auroc_matched_low=None, auroc_matched_high=None))
    model, _ = table_of(tmp_path, [*rows, make_baseline_row("position", 0.6)])
    assert model["Matched AUROC"] == "0.850 ± 0.071"
    assert model["Above trivial"] == "unclear (position 0.600)"


@pytest.mark.parametrize(
    ("commit", "shown"), [("0123456789", "0123456"), ("0123456789-dirty", "0123456-dirty")]
)
def test_a_commit_is_cut_but_says_that_files_were_changed(tmp_path, commit, shown):
    (line,) = table_of(tmp_path, [make_row(commit=commit)])
    assert line["Commit"] == shown


@pytest.mark.parametrize(
    ("matched", "low", "verdict"),
    [
        (0.70, 0.65, "yes (position 0.600)"),
        (0.70, 0.60, "unclear (position 0.600)"),
        (0.60, 0.55, "**no** (position 0.600)"),
        (0.50, 0.45, "**no** (position 0.600)"),
        (None, None, "-"),
    ],
)
def test_the_table_says_whether_a_model_beats_the_baselines(tmp_path, matched, low, verdict):
    rows = [make_row(auroc_matched=matched, auroc_matched_low=low), make_baseline_row("position", 0.6)]
    rows.append(make_row(score="other", auroc_matched=0.9, auroc_matched_low=0.8))
    lines = table_of(tmp_path, rows)
    assert lines[0]["Above trivial"] == verdict
    assert lines[1]["Above trivial"] == "yes (position 0.600)"


@pytest.mark.parametrize("other", [{"dataset": "brats"}, {"modality": "flair"}, {"split_seed": 5}])
def test_baselines_of_other_patients_are_no_yardstick(tmp_path, other):
    rows = [make_row(), make_baseline_row("position", 0.1), make_baseline_row("position", 0.9, **other)]
    line = next(line for line in table_of(tmp_path, rows) if line["Model"] == "vae")
    assert line["Above trivial"] == "yes (position 0.100)"


def test_lines_are_sorted_with_the_baselines_last_in_each_data_set(tmp_path):
    rows = [
        make_baseline_row("position", 0.5),
        make_row(dataset="brats", configuration="zz"),
        make_row(configuration="wide"),
        make_baseline_row("asymmetry", 0.5, dataset="brats"),
        make_row(),
    ]
    lines = table_of(tmp_path, rows)
    assert [(line["Data"], line["Model"], line["Score"]) for line in lines] == [
        ("brats t1ce", "zz", "nll"),
        ("brats t1ce", "trivial", "asymmetry"),
        ("lgg t1ce", "vae", "nll"),
        ("lgg t1ce", "wide", "nll"),
        ("lgg t1ce", "trivial", "position"),
    ]


def test_seeds_that_differ_show_their_range(tmp_path):
    rows = [
        make_row(seed=0, patients_test=9, minutes=8.55, machine="cpu"),
        make_row(seed=1, patients_test=10, minutes=120.4, machine="gpu"),
    ]
    (line,) = table_of(tmp_path, rows)
    assert (line["Test patients"], line["Minutes"], line["Machine"]) == ("9-10", "8.55-120", "cpu, gpu")


def test_seeds_and_splits_are_counted_apart(tmp_path):
    rows = [make_row(seed=seed, split_seed=split) for seed, split in ((0, 0), (1, 0), (0, 4))]
    rows += [make_baseline_row("position", 0.5, split_seed=split) for split in (0, 4)]
    model, baseline = table_of(tmp_path, rows)
    assert (model["Seeds"], model["Splits"]) == ("2", "2")
    assert (baseline["Seeds"], baseline["Splits"]) == ("-", "2")


def test_the_summary_has_a_models_own_score_and_the_best_baselines(tmp_path):
    """The own score is the one that its map was measured with."""
    rows = [make_row(score=score) for score in ("nll", "uncertainty_weighted, alpha 0")]
    rows.append(make_row(score="uncertainty_weighted, alpha 0.5", ap_pixel=0.02))
    rows.append(make_row(configuration="lesion_unet", score="lesion, peak, 4 mm", ap_pixel=0.5))
    rows += [make_row(configuration="lesion_unet", score=score) for score in ("lesion, peak", "nll")]
    rows.append(make_baseline_row("position", 0.7, auroc_balanced=0.6))
    rows.append(make_baseline_row("brain_area", 0.6, auroc_balanced=0.9))
    rows.append(make_baseline_row("asymmetry", 0.5, auroc_balanced=0.5))
    append_rows(tmp_path / "rows.csv", rows)
    lines = read_table(summary_table(read_rows(tmp_path / "rows.csv")))
    assert [(line["Model"], line["Score"]) for line in lines] == [
        ("lesion_unet", "lesion, peak, 4 mm"),
        ("vae", "uncertainty_weighted, alpha 0.5"),
        ("trivial", "brain_area"),
        ("trivial", "position"),
    ]
    assert lines[0]["Above trivial"] == "**no** (position 0.700)"
    assert "Machine" not in lines[0]


def test_the_summary_has_every_score_of_a_model_whose_map_was_not_measured(tmp_path):
    append_rows(tmp_path / "rows.csv", [make_row(score=score) for score in ("nll", "squared_error")])
    lines = read_table(summary_table(read_rows(tmp_path / "rows.csv")))
    assert [line["Score"] for line in lines] == ["nll", "squared_error"]


def test_reasons_of_empty_figures_stand_below_once(tmp_path):
    reason = "auroc_patient, ap_patient: no normal patient among 9"
    append_rows(tmp_path / "rows.csv", [make_row(seed=seed, undefined=reason) for seed in range(2)])
    table = detection_table(read_rows(tmp_path / "rows.csv"))
    assert table.count(f"- lgg t1ce: {reason}") == 1
    assert "Patient AUROC" not in table


@pytest.mark.parametrize("value", ["much", "nan"])
def test_a_cell_without_a_number_is_refused(tmp_path, value):
    append_rows(tmp_path / "rows.csv", [make_row(minutes=value)])
    with pytest.raises(InputError, match=rf"numbers in the results column minutes, got \['{value}'\]"):
        detection_table(read_rows(tmp_path / "rows.csv"))


def test_only_what_stands_between_the_markers_changes():
    assert replace_table(PAGE, "detection", r"| \1 |", "page.md") == (
        "# Title\n\n<!-- table:detection -->\n\n| \\1 |\n\n<!-- /table:detection -->\n\nAfter.\n"
    )


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        "<!-- table:detection -->\n",
        "<!-- /table:detection -->\n<!-- table:detection -->\n",
        PAGE + PAGE,
        "in a sentence: <!-- table:detection -->\n<!-- /table:detection -->\n",
    ],
)
def test_markers_that_are_not_one_pair_are_refused(page):
    with pytest.raises(InputError, match=r"page\.md: expected one line <!-- table:detection -->"):
        replace_table(page, "detection", "table", "page.md")


def test_command_writes_then_check_agrees_until_the_results_change(tmp_path, results, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    check = ["--check", "--results", str(results.parent), str(page)]
    assert main(check) == 1
    assert page.read_text() == PAGE
    assert f"{page}: differs from the results" in capsys.readouterr().out
    assert main(check[1:]) == 0
    assert f"{page}: written" in capsys.readouterr().out
    assert "0.620 ± 0.020" in page.read_text()
    assert page.read_text().endswith("<!-- /table:detection -->\n\nAfter.\n")
    assert main(check) == 0
    assert main(check[1:]) == 0
    assert capsys.readouterr().out == ""
    append_rows(results, [make_row(seed=7)])
    assert main(check) == 1


def test_command_writes_every_table_a_page_has_a_place_for(tmp_path, results):
    page = tmp_path / "page.md"
    page.write_text(PAGE + PAGE.replace("table:detection", "table:summary"))
    assert main(["--results", str(results.parent), str(page)]) == 0
    rows = read_rows(results)
    assert detection_table(rows) in page.read_text()
    assert summary_table(rows) in page.read_text()


def test_command_refuses_a_page_without_a_place_for_a_table(tmp_path, results, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- table:other -->\n<!-- /table:other -->\n")
    assert main(["--results", str(results.parent), str(page)]) == 2
    assert "with a NAME of summary, detection, clvae_summary" in capsys.readouterr().err


def test_command_touches_no_file_when_one_is_wrong(tmp_path, results, capsys):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert main(["--results", str(results.parent), str(page), str(tmp_path / "absent.md")]) == 2
    assert "absent.md: expected a markdown file, found none" in capsys.readouterr().err
    assert page.read_text() == PAGE
    assert main(["--results", str(tmp_path / "absent"), str(page)]) == 2
    assert "expected a results file, found none" in capsys.readouterr().err


def test_module_runs_as_a_command(tmp_path, results):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    command = [
        sys.executable,
        "-m",
        "scripts.report.tables",
        "--check",
        "--results",
        str(results.parent),
        str(page),
    ]
    done = subprocess.run(command, cwd=BUNDLE_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
