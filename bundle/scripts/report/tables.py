"""Tables in the docs, written from the results file by ``python -m scripts.report.tables FILES...``."""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from scripts import BUNDLE_ROOT
from scripts.errors import BundleError, InputError
from scripts.io.atomic import write_text
from scripts.report.results import TRIVIAL, Row, read_rows

RESULTS = BUNDLE_ROOT / "docs" / "results" / "detection.csv"
EMPTY = "-"

NOTES = """\
AUROC and AP: slices, as on a test with as many normal as abnormal ones. Matched AUROC: abnormal slices
against normal slices of the same level only, which position alone barely raises above 0.5. Each is the
mean over seeds ± standard deviation, in brackets the 95 % interval over resampled patients (its ends
averaged over seeds). Above trivial: whether the matched AUROC is higher than that of the best baseline
without a model on the same patients; "unclear" where its interval reaches down to it. A model with "no"
has not learned to see lesions."""

Cell = Callable[[Sequence[Row]], str]


def detection_table(rows: Sequence[Row]) -> str:
    """Return the markdown table of detection results, with its notes.

    One line per data set, modality, configuration and score, over all seeds; baselines without a model
    come last in each data set. Columns that no line fills are left out.

    Args:
        rows: rows of the results file, see :func:`scripts.report.results.read_rows`.

    Raises:
        InputError: a cell that should hold a number does not.
    """
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=_line_order):
        lines.setdefault(_line_order(row), []).append(row)
    columns = _columns(rows)
    cells = {header: [cell(line) for line in lines.values()] for header, cell in columns.items()}
    filled = {header: column for header, column in cells.items() if set(column) - {EMPTY}}
    body = [_join(filled), _join("---" for _ in filled), *map(_join, zip(*filled.values(), strict=True))]
    return "\n".join([*body, "", NOTES, *_undefined_notes(rows)])


def replace_table(text: str, name: str, table: str, file: str) -> str:
    """Return ``text`` with ``table`` between the lines ``<!-- table:name -->`` and ``<!-- /table:name -->``.

    Args:
        text: a markdown document.
        name: name of the table in its markers.
        table: markdown, without markers.
        file: what to call the document in an error.

    Raises:
        InputError: the two markers are not there, once each and in order, each on a line of its own.
    """
    begin, end = f"<!-- table:{name} -->", f"<!-- /table:{name} -->"
    found = re.findall(rf"^(?:{begin}|{end})$", text, flags=re.MULTILINE)
    if found != [begin, end]:
        raise InputError(
            f"{file}: expected one line {begin} and then one line {end}, got {found or 'neither'}."
        )
    pattern = re.compile(rf"^{begin}$.*^{end}$", flags=re.MULTILINE | re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{end}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the tables; return the exit code: 0, 1 (a file differs), or that of the error."""
    options = _parse(arguments)
    try:
        differing = _update(options.files, detection_table(read_rows(options.results)), options.check)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for file in differing:
        print(f"{file}: {'differs from the results, run without --check' if options.check else 'written'}")
    return 1 if options.check and differing else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report.tables",
        description="Write the detection table between the lines <!-- table:detection --> and "
        "<!-- /table:detection --> of markdown files, from the results file.",
        epilog="Exit code: 0 done, 1 --check found a difference, 2 a file is missing or has no markers.",
    )
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILES", help="markdown files, changed in place"
    )
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 if a file differs")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="CSV", help="results file (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def _update(files: Sequence[Path], table: str, check: bool) -> list[Path]:
    """Return the files whose table differs, after writing them unless ``check``."""
    changes = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: expected a markdown file, found none.")
        before = file.read_text(encoding="utf-8")
        after = replace_table(before, "detection", table, str(file))
        if after != before:
            changes[file] = after
    if not check:
        for file, text in changes.items():
            write_text(file, text)
    return list(changes)


def _line_order(row: Row) -> tuple[str, ...]:
    last = "1" if row["configuration"] == TRIVIAL else "0"
    return (row["dataset"], row["modality"], last, row["configuration"], row["score"])


def _columns(rows: Sequence[Row]) -> dict[str, Cell]:
    return {
        "Data": lambda line: f"{line[0]['dataset']} {line[0]['modality']}",
        "Model": lambda line: line[0]["configuration"],
        "Score": lambda line: line[0]["score"],
        "Matched AUROC": lambda line: _measured(line, "auroc_matched"),
        "Above trivial": lambda line: _above_trivial(line, rows),
        "AUROC": lambda line: _measured(line, "auroc_balanced"),
        "AP": lambda line: _measured(line, "ap_balanced"),
        "Patient AUROC": lambda line: _measured(line, "auroc_patient"),
        "Patient AP": lambda line: _measured(line, "ap_patient"),
        "False alarms per normal scan": lambda line: _measured(line, "false_alarms_per_scan"),
        "Pixel AP": lambda line: _measured(line, "ap_pixel"),
        "Lesion pixels": lambda line: _measured(line, "pixel_prevalence"),
        "Test patients": lambda line: _range(line, "patients_test"),
        "Normal slices": lambda line: _range(line, "slices_normal"),
        "Abnormal slices": lambda line: _range(line, "slices_abnormal"),
        "Training patients": lambda line: _range(line, "patients_train"),
        "Training slices": lambda line: _range(line, "slices_train"),
        "Seeds": lambda line: str(len(line)) if line[0]["configuration"] != TRIVIAL else EMPTY,
        "Epochs": lambda line: _range(line, "epochs"),
        "Minutes": lambda line: _range(line, "minutes"),
        "Machine": lambda line: _names(line, "machine"),
        "Commit": lambda line: _names(
            [row | {"commit": row.get("commit", "")[:7]} for row in line], "commit"
        ),
    }


def _numbers(line: Iterable[Row], column: str) -> list[float]:
    texts = [row[column] for row in line if row.get(column)]
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f"Expected numbers in the results column {column}, got {texts}.") from error
    if not all(map(math.isfinite, values)):
        raise InputError(f"Expected finite numbers in the results column {column}, got {texts}.")
    return values


def _measured(line: Sequence[Row], metric: str) -> str:
    """Return "mean ± standard deviation over seeds (interval over patients)", as far as known."""
    values = _numbers(line, metric)
    if not values:
        return EMPTY
    text = f"{statistics.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.3f}"
    low, high = (_numbers(line, metric + end) for end in ("_low", "_high"))
    return text + (f" ({statistics.mean(low):.3f}-{statistics.mean(high):.3f})" if low and high else "")


def _above_trivial(line: Sequence[Row], rows: Sequence[Row]) -> str:
    """Compare with the best baseline without a model on the same data and splits."""
    first, values = line[0], _numbers(line, "auroc_matched")
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
    means = {
        name: statistics.mean(matched)
        for name in sorted({row["score"] for row in same})
        if (matched := _numbers((row for row in same if row["score"] == name), "auroc_matched"))
    }
    if not means:
        return EMPTY
    best = max(means, key=lambda name: means[name])
    low = _numbers(line, "auroc_matched_low")
    if statistics.mean(values) <= means[best]:
        verdict = "**no**"
    else:
        verdict = "yes" if low and statistics.mean(low) > means[best] else "unclear"
    return f"{verdict} ({best} {means[best]:.3f})"


def _range(line: Sequence[Row], column: str) -> str:
    values = sorted(
        {f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in _numbers(line, column)}, key=float
    )
    if not values:
        return EMPTY
    return values[0] if len(values) == 1 else f"{values[0]}-{values[-1]}"


def _names(line: Sequence[Row], column: str) -> str:
    return ", ".join(dict.fromkeys(row[column] for row in line if row.get(column))) or EMPTY


def _join(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _undefined_notes(rows: Sequence[Row]) -> list[str]:
    """Say for each data set why figures are left empty."""
    notes = dict.fromkeys(
        f"- {row['dataset']} {row['modality']}: {row['undefined']}" for row in rows if row.get("undefined")
    )
    return ["", "Left empty, and why:", "", *sorted(notes)] if notes else []


if __name__ == "__main__":
    sys.exit(main())
