from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scripts.errors import InputError
from scripts.report.ablation_results import DIFFERENCES
from scripts.report.ablation_table import ablation_table, verdict
from scripts.report.results import append_rows, read_rows

PAPER = {"full": 0.834, "no_attention": 0.795, "better_without": 0.9}


def make_row(variant="no_attention", matched=(-0.03, -0.05, -0.01), balanced=(-0.02, -0.03, -0.01), **values):
    row = {
        "dataset": "lgg",
        "modality": "t1ce",
        "configuration": "default",
        "variant": variant,
        "split_seed": 0,
        "score": "nll, alpha 0",
        "seeds": 3,
        "paper_auroc": PAPER.get(variant),
        "patients_test": 9,
    }
    for name, interval in (("auroc_matched", matched), ("auroc_balanced", balanced)):
        row |= {name: 0.6, f"{name}_deviation": 0.012}
        ends = ("_difference", "_difference_low", "_difference_high")
        row |= {name + end: value for end, value in zip(ends, interval, strict=True)}
    return row | values


FULL = make_row("full", (0, 0, 0), (0, 0, 0))


def read_back(folder: Path, *rows):
    append_rows(folder / "rows.csv", rows, DIFFERENCES)
    return read_rows(folder / "rows.csv", DIFFERENCES)


def cells_of(table):
    lines = [line for line in table.splitlines() if line.startswith("|")]
    header, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert len(set(header)) == len(header)
    return [dict(zip(header, cells, strict=True)) for cells in body]


DOWN, UP, ACROSS, TOUCHING, UNKNOWN = (
    (-0.03, -0.05, -0.01),
    (0.03, 0.01, 0.05),
    (0.01, -0.02, 0.04),
    (0.01, 0.0, 0.02),
    (-0.03, None, None),
)


@pytest.mark.parametrize(
    ("variant", "matched", "balanced", "sentence"),
    [
        ("no_attention", DOWN, DOWN, "Supported."),
        ("no_attention", UP, UP, "Contradicted."),
        ("no_attention", ACROSS, TOUCHING, "No difference seen."),
        ("no_attention", (0, 0, 0), (0, 0, 0), "No difference seen."),
        ("no_attention", ACROSS, DOWN, "Matched AUROC: no difference seen; AUROC: supported."),
        ("no_attention", UP, DOWN, "Matched AUROC: contradicted; AUROC: supported."),
        ("better_without", UP, DOWN, "Matched AUROC: supported; AUROC: contradicted."),
        ("heads_4", DOWN, DOWN, "Lower than full, of which the paper says nothing."),
        (
            "heads_4",
            UP,
            ACROSS,
            "Matched AUROC: higher than full, of which the paper says nothing; AUROC: no difference seen.",
        ),
        ("no_attention", UNKNOWN, UNKNOWN, "Undecided, too few patients for an interval."),
        ("full", (0, 0, 0), (0, 0, 0), "What the others are compared with."),
    ],
)
def test_the_sentence_follows_from_the_intervals_and_the_papers_direction(
    tmp_path, variant, matched, balanced, sentence
):
    rows = read_back(tmp_path, FULL, make_row(variant, matched, balanced))
    assert verdict(rows[-1], rows[0]) == sentence


@pytest.mark.parametrize(
    ("whole", "part", "doubt"),
    [(0.47, 0.43, " (neither is above chance)"), (0.47, 0.56, ""), (0.56, 0.47, "")],
)
def test_a_difference_between_models_that_see_nothing_is_marked(tmp_path, whole, part, doubt):
    figures = {"auroc_matched": whole, "auroc_balanced": whole}
    changed = {"auroc_matched": part, "auroc_balanced": part}
    full, row, same = read_back(
        tmp_path, FULL | figures, make_row() | changed, make_row("heads_4", ACROSS, ACROSS) | changed
    )
    assert verdict(row, full) == f"Supported{doubt}."
    assert verdict(same, full) == "No difference seen."


def test_without_the_papers_figure_of_the_full_model_there_is_no_claim(tmp_path):
    full, row = read_back(tmp_path, FULL | {"paper_auroc": None}, make_row())
    assert verdict(row, full) == "Lower than full, of which the paper says nothing."


def test_a_line_has_means_differences_and_the_papers_figure(tmp_path):
    lines = cells_of(ablation_table(read_back(tmp_path, FULL, make_row(balanced=(-1e-17, -0.02, 0.01)))))
    assert lines[1] == {
        "Data": "lgg t1ce",
        "Model": "default",
        "Variant": "no_attention",
        "Score": "nll, alpha 0",
        "Matched AUROC": "0.600 ± 0.012",
        "Matched difference": "-0.030 (-0.050 to -0.010)",
        "AUROC": "0.600 ± 0.012",
        "Difference": "+0.000 (-0.020 to +0.010)",
        "Paper": "0.795",
        "Test patients": "9",
        "Seeds": "3",
        "Of the paper's claim": "Matched AUROC: supported; AUROC: no difference seen.",
    }
    assert (lines[0]["Matched difference"], lines[0]["Paper"]) == ("-", "0.834")


def test_every_variant_is_compared_with_the_full_model_of_its_own_data(tmp_path):
    other = {"dataset": "brats", "split_seed": 4}
    rows = read_back(tmp_path, FULL, make_row(**other), FULL | other | {"paper_auroc": 0.7}, make_row())
    lines = {line["Data"]: line for line in cells_of(ablation_table(rows)) if line["Variant"] != "full"}
    # 0.795 is more than 0.7: on these rows the paper would say that the model is better without.
    assert lines["brats t1ce, split 4"]["Of the paper's claim"] == "Contradicted."
    assert lines["lgg t1ce"]["Of the paper's claim"] == "Supported."


def test_missing_figures_are_dashes(tmp_path):
    empty = make_row("modality_flair", (None,) * 3, (None,) * 3, auroc_matched=None, patients_test=None)
    line = cells_of(ablation_table(read_back(tmp_path, empty)))[0]
    assert {line[name] for name in ("Matched AUROC", "Matched difference", "Test patients")} == {"-"}


def test_no_rows_and_no_numbers(tmp_path):
    assert ablation_table([]) == "No ablation has been run yet."
    append_rows(tmp_path / "rows.csv", [], DIFFERENCES)
    with (tmp_path / "rows.csv").open() as file:
        assert next(csv.reader(file)) == [*DIFFERENCES.key, *DIFFERENCES.values]
    rows = read_back(tmp_path, FULL, make_row(auroc_matched="much"))
    with pytest.raises(InputError, match=r"numbers in the results column auroc_matched, got \['much'\]"):
        ablation_table(rows)
