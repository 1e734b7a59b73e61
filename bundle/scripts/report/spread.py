"""Figures of several seeds as one cell of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from scripts.errors import InputError
from scripts.report.cells import EMPTY
from scripts.report.results import Row


def numbers(line: Iterable[Row], column: str) -> list[float]:
    """Return the numbers of a column, empty cells left out.

    Raises:
        InputError: a cell holds something else, or no finite number.
    """
    texts = [row[column] for row in line if row.get(column)]
    try:
        values = [float(text) for text in texts]
    except ValueError as error:
        raise InputError(f"Expected numbers in the results column {column}, got {texts}.") from error
    if not all(map(math.isfinite, values)):
        raise InputError(f"Expected finite numbers in the results column {column}, got {texts}.")
    return values


def measured(line: Sequence[Row], metric: str) -> str:
    """Return "mean ± standard deviation over seeds (interval over patients)", as far as known.

    Of several intervals the ends are averaged; without one for every value, none is given.
    """
    values = numbers(line, metric)
    if not values:
        return EMPTY
    text = f"{statistics.mean(values):.3f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.3f}"
    low, high = (numbers(line, metric + end) for end in ("_low", "_high"))
    if len(low) == len(high) == len(values):
        text += f" ({statistics.mean(low):.3f} to {statistics.mean(high):.3f})"
    return text
