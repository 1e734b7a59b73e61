"""The detection results as markdown tables: every figure, and a summary to read first."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence

from scripts.report.cells import EMPTY
from scripts.report.markdown import markdown_table
from scripts.report.results import TRIVIAL, Row
from scripts.report.spread import measured, numbers

SUMMARY_COLUMNS = (
    "Data",
    "Model",
    "Score",
    "Matched AUROC",
    "Above trivial",
    "AUROC",
    "AP",
    "Pixel AP",
    "Test patients",
    "Seeds",
    "Splits",
)

NOTES = """\
AUROC and AP: slices, as on a test with as many normal as abnormal ones. Matched AUROC: abnormal slices
against normal slices of the same level only, which position alone barely raises above 0.5. Pixel AP: of the
anomaly map, all foreground pixels of the test. Each is the mean over seeds and splits ± standard deviation,
in brackets the 95 % interval over resampled patients: its ends averaged, none where one of the rows has none,
for example because its test has fewer than five patients. Above trivial: whether the matched AUROC is higher
than that of the best baseline without a model on the same patients; "unclear" where no interval lies above
it. A model with "no" has not learned to see lesions."""

_HASH = re.compile(r"^([0-9a-f]{7})[0-9a-f]*")
"""Of a commit; "-dirty" behind it says that files were changed, and stays."""

Cell = Callable[[Sequence[Row]], str]


def detection_table(rows: Sequence[Row]) -> str:
    """Return the markdown table of all detection results, with its notes.

    One line per data set, modality, configuration and score, over all seeds and splits; baselines without
    a model come last in each data set. Columns that no line fills are left out.

    Args:
        rows: rows of the results file, see :func:`scripts.report.results.read_rows`.

    Raises:
        InputError: a cell that should hold a number does not.
    """
    return "\n".join([_table(rows, _columns(rows)), "", NOTES, *_undefined_notes(rows)])


def summary_table(rows: Sequence[Row]) -> str:
    """Return what to read first: a line for each model, and the trivial baselines that are best.

    Args and errors: as :func:`detection_table`.
    """
    models: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        models.setdefault((row["dataset"], row["modality"], row["configuration"]), []).append(row)
    shown = [row for model in models.values() for row in _headline(model)]
    columns = {header: cell for header, cell in _columns(rows).items() if header in SUMMARY_COLUMNS}
    return "\n".join([_table(shown, columns), "", NOTES])


def _headline(model: Sequence[Row]) -> list[Row]:
    """Return the rows of a model's own score, the one with pixel figures; all where no lesion is drawn.

    Of trivial baselines, those of the best by each slice AUROC.
    """
    scores = list(dict.fromkeys(row["score"] for row in model))
    if model[0]["configuration"] == TRIVIAL:
        chosen = {_best(model, scores, metric)[0] for metric in ("auroc_matched", "auroc_balanced")}
    else:
        chosen = {row["score"] for row in model if row.get("ap_pixel")} or set(scores)
    return [row for row in model if row["score"] in chosen]


def _best(rows: Sequence[Row], scores: Sequence[str], metric: str) -> tuple[str, float]:
    """Return the score with the highest mean of a metric, and that mean; ("", nan) where none has one."""
    means = {
        score: statistics.mean(values)
        for score in scores
        if (values := numbers((row for row in rows if row["score"] == score), metric))
    }
    return max(means.items(), key=lambda item: item[1], default=("", math.nan))


def _table(rows: Sequence[Row], columns: Mapping[str, Cell]) -> str:
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=_line_order):
        lines.setdefault(_line_order(row), []).append(row)
    cells = {header: [cell(line) for line in lines.values()] for header, cell in columns.items()}
    filled = {header: column for header, column in cells.items() if set(column) - {EMPTY}}
    return markdown_table(list(filled), list(zip(*filled.values(), strict=True)))


def _line_order(row: Row) -> tuple[str, ...]:
    last = "1" if row["configuration"] == TRIVIAL else "0"
    return (row["dataset"], row["modality"], last, row["configuration"], row["score"])


def _columns(rows: Sequence[Row]) -> dict[str, Cell]:
    return {
        "Data": lambda line: f"{line[0]['dataset']} {line[0]['modality']}",
        "Model": lambda line: line[0]["configuration"],
        "Score": lambda line: line[0]["score"],
        "Matched AUROC": lambda line: measured(line, "auroc_matched"),
        "Above trivial": lambda line: _above_trivial(line, rows),
        "AUROC": lambda line: measured(line, "auroc_balanced"),
        "AP": lambda line: measured(line, "ap_balanced"),
        "Patient AUROC": lambda line: measured(line, "auroc_patient"),
        "Patient AP": lambda line: measured(line, "ap_patient"),
        "False alarms per normal scan": lambda line: measured(line, "false_alarms_per_scan"),
        "False alarms at 95 % sensitivity": lambda line: measured(line, "false_alarm_rate"),
        "Pixel AP": lambda line: measured(line, "ap_pixel"),
        "AUPRO": lambda line: measured(line, "aupro"),
        "Oracle Dice": lambda line: measured(line, "dice_oracle"),
        "Lesion pixels": lambda line: measured(line, "pixel_prevalence"),
        "Test patients": lambda line: _range(line, "patients_test"),
        "Normal slices": lambda line: _range(line, "slices_normal"),
        "Abnormal slices": lambda line: _range(line, "slices_abnormal"),
        "Training patients": lambda line: _range(line, "patients_train"),
        "Training slices": lambda line: _range(line, "slices_train"),
        "Seeds": lambda line: _count(line, "seed"),
        "Splits": lambda line: _count(line, "split_seed"),
        "Epochs": lambda line: _range(line, "epochs"),
        "Minutes": lambda line: _range(line, "minutes"),
        "Machine": lambda line: _names(line, "machine"),
        "Commit": lambda line: _names(
            [row | {"commit": _HASH.sub(r"\1", row.get("commit", ""))} for row in line], "commit"
        ),
    }


def _above_trivial(line: Sequence[Row], rows: Sequence[Row]) -> str:
    """Compare with the best baseline without a model on the same data and splits."""
    first, values = line[0], numbers(line, "auroc_matched")
    if first["configuration"] == TRIVIAL or not values:
        return EMPTY
    splits = {row["split_seed"] for row in line}
    same = [
        row
        for row in rows
        if row["configuration"] == TRIVIAL
        and (row["dataset"], row["modality"]) == (first["dataset"], first["modality"])
        and row["split_seed"] in splits
    ]
    best, highest = _best(same, sorted({row["score"] for row in same}), "auroc_matched")
    if not best:
        return EMPTY
    low = numbers(line, "auroc_matched_low")
    if statistics.mean(values) <= highest:
        verdict = "**no**"
    else:
        verdict = "yes" if len(low) == len(values) and statistics.mean(low) > highest else "unclear"
    return f"{verdict} ({best} {highest:.3f})"


def _range(line: Sequence[Row], column: str) -> str:
    values = sorted(
        {f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in numbers(line, column)}, key=float
    )
    if not values:
        return EMPTY
    return values[0] if len(values) == 1 else f"{values[0]}-{values[-1]}"


def _count(line: Sequence[Row], column: str) -> str:
    """Return how many different values a column has; a baseline without chance has no seed."""
    return str(len({row[column] for row in line} - {""}) or EMPTY)


def _names(line: Sequence[Row], column: str) -> str:
    return ", ".join(dict.fromkeys(row[column] for row in line if row.get(column))) or EMPTY


def _undefined_notes(rows: Sequence[Row]) -> list[str]:
    """Say for each data set why figures are left empty."""
    notes = dict.fromkeys(
        f"- {row['dataset']} {row['modality']}: {row['undefined']}" for row in rows if row.get("undefined")
    )
    return ["", "Left empty, and why:", "", *sorted(notes)] if notes else []
