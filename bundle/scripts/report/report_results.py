"""Figures of a report that the docs show over several runs, as rows of one results file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scripts.report.results import Schema

REPORT = Schema(
    key=("dataset", "modality", "run", "split_seed", "table", "part", "figure", "place"),
    parts=("table", "part", "figure", "place"),
    values=("value", "value_low", "value_high", "machine", "commit"),
)
"""Of ``report.csv``: a figure with the ends of its 95 % interval over patients, where it has one. A report
has all figures of a run on a data set, or the reason."""


class Layout(NamedTuple):
    """How a table of the report is cut into figures, and shown in the docs."""

    figures: Mapping[str, str]
    """Columns to keep, and what they are called."""
    part: str = ""
    """Column with what the figure is of; it heads a line of the docs' table."""
    part_heading: str = ""
    """Of that column in the docs."""
    place: str = ""
    """Column that is spread over the docs' table; without one, figures are spread."""
    place_heading: str = "{}"
    """Of each column that is spread."""
    only: Mapping[str, Any] = {}
    """Values that a row must have to be kept."""


LAYOUTS: Mapping[str, Layout] = {
    "quintiles": Layout(
        {"score_normal": "score, normal", "score_abnormal": "score, abnormal", "auroc": "AUROC"},
        "uncertainty",
        "Uncertainty",
        "quintile",
        "Quintile {}",
    ),
    "coverage": Layout({"observed": "share within"}, "region", "Where", "nominal", "Interval of {:.0%}"),
    "correlation": Layout({"spearman": "rank correlation"}, "region", "Where", "variance", "{} variance"),
    "risk_coverage": Layout(
        {"auroc_matched": "matched AUROC", "gain_matched": "gain"},
        "uncertainty",
        "Uncertainty",
        "coverage",
        "{:.0%} kept",
    ),
    "pixels": Layout(
        {"ap_pixel": "Pixel AP", "aupro": "AUPRO", "pixel_prevalence": "Lesion pixels"}, "map", "Map"
    ),
    "attention": Layout(
        {
            "entropy_normal": "Entropy, normal",
            "entropy_abnormal": "Entropy, abnormal",
            "boundary_ratio": "To the boundary",
            "lesion_ratio": "To the lesion",
            "mirrored_ratio": "To the mirrored place",
        },
        "layer",
        "Layer",
        only={"head": "all"},
    ),
    "lesion_sizes": Layout(
        {"auroc_matched": "matched AUROC", "sensitivity": "sensitivity"},
        place="area_low",
        place_heading="From {:g} mm²",
    ),
}
"""Tables of the report that the docs show over several runs."""


def report_rows(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each figure of a report's tables, see :meth:`scripts.report.page.Page.tables`.

    A figure that is undefined has no row; ``dataset``, ``modality`` and ``split_seed`` are not known here.
    """
    return [
        figure
        for name, layout in LAYOUTS.items()
        for row in tables.get(name, ())
        if all(row[column] == value for column, value in layout.only.items())
        for figure in _figures(name, layout, row)
    ]


def _figures(table: str, layout: Layout, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for column, figure in layout.figures.items():
        if row.get(column) is not None:
            yield {
                "run": row["run"],
                "table": table,
                "part": row[layout.part] if layout.part else "",
                "figure": figure,
                "place": row[layout.place] if layout.place else "",
                "value": row[column],
                "value_low": row.get(f"{column}_low"),
                "value_high": row.get(f"{column}_high"),
            }
