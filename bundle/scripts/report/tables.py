"""Tables in the docs, written from the results files by ``python -m scripts.report.tables FILES...``."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts import BUNDLE_ROOT
from scripts.errors import BundleError, InputError
from scripts.io.atomic import write_text
from scripts.report import ablation_table, clvae_table, detection_table, report_table
from scripts.report.ablation_results import DIFFERENCES
from scripts.report.clvae_results import BENCHMARK
from scripts.report.report_results import LAYOUTS, REPORT
from scripts.report.results import DETECTION, Row, Schema, read_rows

RESULTS = BUNDLE_ROOT / "docs" / "results"


class Table(NamedTuple):
    """A results file, its columns, and what makes a table of its rows."""

    file: str
    schema: Schema
    make: Callable[[Sequence[Row]], str]


TABLES: Mapping[str, Table] = {
    "summary": Table("detection.csv", DETECTION, detection_table.summary_table),
    "detection": Table("detection.csv", DETECTION, detection_table.detection_table),
    "clvae_summary": Table("clvae.csv", BENCHMARK, clvae_table.summary_table),
    "clvae_choices": Table("clvae.csv", BENCHMARK, clvae_table.choices_table),
    "clvae_anomalies": Table("clvae.csv", BENCHMARK, clvae_table.anomalies_table),
    "clvae_all": Table("clvae.csv", BENCHMARK, clvae_table.full_table),
    "ablation": Table("ablation_differences.csv", DIFFERENCES, ablation_table.ablation_table),
    **{name: Table("report.csv", REPORT, report_table.table_maker(name)) for name in LAYOUTS},
}
"""What may stand between the markers ``<!-- table:name -->`` and ``<!-- /table:name -->`` of a page."""


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
        differing = _update(options.files, options.results, options.check)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for file in differing:
        print(f"{file}: {'differs from the results, run without --check' if options.check else 'written'}")
    return 1 if options.check and differing else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report.tables",
        description=f"Write tables of results ({', '.join(TABLES)}) between the lines <!-- table:NAME --> "
        "and <!-- /table:NAME --> of markdown files, from the results files.",
        epilog="Exit code: 0 done, 1 --check found a difference, 2 a file is missing or has no markers.",
    )
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILES", help="markdown files, changed in place"
    )
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 if a file differs")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, metavar="FOLDER", help="results files (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def _update(files: Sequence[Path], results: Path, check: bool) -> list[Path]:
    """Return the files whose tables differ, after writing them unless ``check``."""
    changes = {}
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: expected a markdown file, found none.")
        before = after = file.read_text(encoding="utf-8")
        for name in _named(before, str(file)):
            rows = read_rows(results / TABLES[name].file, TABLES[name].schema)
            after = replace_table(after, name, TABLES[name].make(rows), str(file))
        if after != before:
            changes[file] = after
    if not check:
        for file, text in changes.items():
            write_text(file, text)
    return list(changes)


def _named(text: str, file: str) -> list[str]:
    """Return the names of the tables that a document has a place for."""
    names = [name for name in TABLES if f"table:{name} -->" in text]
    if not names:
        raise InputError(
            f"{file}: expected a line <!-- table:NAME --> with a NAME of {', '.join(TABLES)}, found none."
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
