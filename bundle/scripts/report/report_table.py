"""Figures of reports as markdown tables: calibration, attention, pixels and lesion sizes, over the seeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from scripts.report.markdown import markdown_table
from scripts.report.report_results import LAYOUTS
from scripts.report.results import Row
from scripts.report.spread import measured, numbers


def table_maker(table: str) -> Callable[[Sequence[Row]], str]:
    """Return what makes the markdown table named ``table`` of the results file's rows."""
    return lambda rows: _make_table(table, [row for row in rows if row["table"] == table])


def _make_table(table: str, rows: Sequence[Row]) -> str:
    """Return one line for each data set, model, part and figure; a model's seeds are joined.

    Runs whose names differ in a number at their end are seeds of one model.
    """
    if not rows:
        return "No report has been kept yet."
    layout = LAYOUTS[table]
    spread = "place" if layout.place else "figure"
    columns = list(dict.fromkeys(row[spread] for row in rows))
    lines: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in sorted(rows, key=lambda row: (row["dataset"], model_of(row))):
        named = (f"{row['dataset']} {row['modality']}", model_of(row), row["part"])
        line = lines.setdefault((*named, row["figure"] if spread == "place" else ""), {})
        line.setdefault(row[spread], []).append(row)
    places = (_heading(layout.place_heading, name) for name in columns)
    header = ["Data", "Model", layout.part_heading, "Figure", *places, "Runs"]
    body = [
        [*line, *(_cell(cells.get(name, ()), len(_runs(cells))) for name in columns), str(len(_runs(cells)))]
        for line, cells in lines.items()
    ]
    shown = [index for index, name in enumerate(header) if name and any(line[index] for line in body)]
    return markdown_table(
        [header[index] for index in shown], [[line[index] for index in shown] for line in body]
    )


def model_of(row: Row) -> str:
    """Return the name of a row's run without the number of its seed.

    >>> model_of({"run": "lesion_unet 2"})
    'lesion_unet'
    """
    return re.sub(r" \d+$", "", row["run"])


def _cell(rows: Sequence[Row], runs: int) -> str:
    """Return the mean over the runs; with their number, where it is that of fewer than the line's."""
    text, count = measured(rows, "value"), len(numbers(rows, "value"))
    return f"{text}, {count} of {runs} runs" if 0 < count < runs else text


def _heading(text: str, name: str) -> str:
    return text.format(float(name) if ":" in text else name)


def _runs(cells: dict[str, list[Row]]) -> set[str]:
    return {row["run"] for rows in cells.values() for row in rows}
