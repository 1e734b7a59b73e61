"""A report as data: sections of tables and pictures, written as one HTML page, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scripts.io.atomic import write_json, write_text
from scripts.report.cells import column_groups, format_cell
from scripts.report.templates import make_environment

TEMPLATE = "page.html.j2"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows of one kind. Tables of one name, from several runs, share a CSV file."""

    name: str
    """Of its CSV file and its entry in the JSON."""
    title: str
    rows: Sequence[Row]
    """Flat; ``x_low`` and ``x_high`` are the interval of ``x``; None has its reason in ``undefined``."""
    shown: Sequence[str] | None = None
    """Columns on the page, intervals left out; None shows all. Files hold every column."""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """One figure as PNG."""

    title: str
    png: bytes
    description: str
    """What a reader who cannot see it should know, and how to read it."""


@dataclass(frozen=True)
class Section:
    """A heading with what is below it."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    about: Mapping[str, Any]
    """What it was measured on, by name."""
    sections: Sequence[Section]
    warnings: Sequence[str] = field(default=())

    def tables(self) -> dict[str, list[Row]]:
        """Return the rows of all tables by name, in order."""
        found: dict[str, list[Row]] = {}
        for section in self.sections:
            for table in section.tables:
                found.setdefault(table.name, []).extend(table.rows)
        return found


def write_page(page: Page, folder: str | Path) -> Path:
    """Write ``report.html``, ``report.json`` and one ``<table>.csv`` for each table; return the page's path.

    Raises:
        ModelError: a number is NaN or infinite.
    """
    folder = Path(folder)
    tables = page.tables()
    about = {"title": page.title, "warnings": list(page.warnings), **page.about}
    texts = {section.title: section.text for section in page.sections if section.text}
    write_json(folder / "report.json", {"about": about, "texts": texts, "tables": tables})
    for name, rows in tables.items():
        write_text(folder / f"{name}.csv", to_csv(rows))
    return write_text(folder / "report.html", render(page))


def render(page: Page) -> str:
    """Return the page as HTML that refers to nothing outside itself."""
    environment = make_environment()
    environment.filters |= {"cell": format_cell}
    environment.globals |= {"groups": column_groups, "reasons": _reasons}
    return environment.get_template(TEMPLATE).render(page=page)


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as comma-separated values: all columns in order of appearance, None as an empty cell."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def draw_png(figure: Figure, dpi: int = 100) -> bytes:
    """Return a figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(buffer, dpi=dpi, format="png")
    return buffer.getvalue()


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Return why cells are empty, each reason once."""
    return list(dict.fromkeys(row["undefined"] for row in rows if row.get("undefined")))
