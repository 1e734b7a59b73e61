"""How columns are called, and how their values are written, on the page of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

EMPTY = "-"

HEADERS = {
    "alarms_abnormal": "alarms on abnormal slices",
    "alarms_normal": "alarms on normal slices",
    "ap_balanced": "AP (balanced)",
    "ap_patient": "AP, patients",
    "ap_pixel": "AP, pixels",
    "area_high": "lesion below, mm²",
    "area_low": "lesion from, mm²",
    "aupro": "AUPRO (to 0.3)",
    "auroc": "AUROC",
    "auroc_balanced": "AUROC",
    "auroc_matched": "matched AUROC",
    "auroc_patient": "AUROC, patients",
    "boundary_area": "boundary, share of the head",
    "boundary_to_mirrored": "boundary to mirrored",
    "boundary_mass": "boundary, share of attention",
    "dice": "Dice, validation threshold",
    "dice_oracle": "Dice, ORACLE threshold",
    "false_alarm_rate": "false alarms at 95 % sensitivity",
    "false_alarms_per_scan": "false alarms per normal scan",
    "gain_matched": "gain in matched AUROC",
    "largest_lesion_mm2": "largest lesion, mm²",
    "lesion_mm2": "lesion, mm²",
    "pixel_prevalence": "lesion pixels (chance AP)",
    "pixel_threshold": "pixel threshold",
    "risk": "balanced error",
    "split_seed": "seed of the split",
    "spearman": "rank correlation (mean of patients)",
}
"""Of the columns whose own name says too little."""


def header(column: str) -> str:
    """Return the heading of a column."""
    return HEADERS.get(column, column.replace("_", " "))


def column_groups(rows: Sequence[Mapping[str, Any]], shown: Sequence[str] | None) -> list[str]:
    """Return the columns to show, without the ends of intervals and the reasons; ``shown`` has the order."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    kept = [column for column in columns if not _is_end(column, columns) and column != "undefined"]
    if "run" in kept and len({row["run"] for row in rows}) == 1:
        kept.remove("run")  # the section names it
    return [column for column in (kept if shown is None else shown) if column in kept]


def _is_end(column: str, columns: Sequence[str]) -> bool:
    base, _, end = column.rpartition("_")
    return end in ("low", "high") and base in columns


def format_cell(row: Mapping[str, Any], column: str) -> str:
    """Return "0.481 (0.306 to 0.611)", as far as known; a dash for None."""
    value = row.get(column)
    if value is None:
        return EMPTY
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    text = format_value(value)
    return text if low is None or high is None else f"{text} ({format_value(low)} to {format_value(high)})"


def format_value(value: object) -> str:
    """Return a number with three digits that count, anything else as it is.

    >>> format_value(0.48123), format_value(12345.6), format_value(1.5e-7), format_value(12)
    ('0.481', '12346', '1.50e-07', '12')
    """
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = abs(value)
    if size < 0.001:
        return f"{value:.2e}"
    return f"{value:.3f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.0f}"
