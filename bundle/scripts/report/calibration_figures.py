"""Calibration as pictures: scores by quintile, the predictive Gaussian, and refusing uncertain slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.report.page import Picture, draw_png
from scripts.report.score_figures import CLASSES

Rows = Sequence[Mapping[str, Any]]

STYLES = (("#0072B2", "o", "-"), ("#D55E00", "^", "--"), ("#009E73", "s", ":"), ("#CC79A7", "D", "-."))
"""Colour (Okabe and Ito), marker and line of each thing in a picture."""


def quintile_picture(rows: Rows, unit: str) -> Picture:
    """Return the mean score of normal and abnormal slices by quintile of each uncertainty.

    Args:
        rows: of ``score_by_quintile`` with ``uncertainty``.
        unit: of the score.
    """
    kinds = _kinds(rows, "uncertainty")
    figure = Figure(figsize=(3.6 * len(kinds), 3.2), layout="constrained")
    for axis, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        mine = [row for row in rows if row["uncertainty"] == kind]
        for (label, name, colour, _), column in zip(CLASSES, ("score_normal", "score_abnormal"), strict=True):
            shown = [row for row in mine if row[column] is not None]
            places = [row["quintile"] + 0.4 * label - 0.2 for row in shown]
            hatch = "//" if label else None
            axis.bar(
                places,
                [row[column] for row in shown],
                width=0.4,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                label=name,
            )
        axis.set(
            xlabel=f"quintile of {kind} variance\n(5 most uncertain)", ylabel=f"mean slice score ({unit})"
        )
        axis.set_xticks([row["quintile"] for row in mine])
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside upper center", ncols=2)
    return Picture(
        "Scores by quintile of uncertainty",
        draw_png(figure),
        "The paper's check: where uncertainty flags anomalies, abnormal slices gather on the right and score "
        "higher there.",
    )


def gaussian_picture(coverage: Rows, histogram: Rows) -> Picture:
    """Return coverage of the predictive intervals, and the histogram of z beside the standard normal.

    Args:
        coverage: of ``interval_coverage`` with ``region``.
        histogram: of ``z_histogram`` with ``region``.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot((0, 1), (0, 1), color="0.5", linestyle=":")
    for region, (colour, marker, line) in zip(_kinds(coverage, "region"), STYLES, strict=False):
        shown = [row for row in coverage if row["region"] == region and row["observed"] is not None]
        nominal, observed = _columns(shown, "nominal", "observed")
        left.plot(nominal, observed, color=colour, marker=marker, linestyle=line, label=region)
        _draw_intervals(left, shown, "nominal", "observed", colour)
        bars = [row for row in histogram if row["region"] == region and row["observed"] is not None]
        right.plot(
            *_steps(bars, "observed"),
            color=colour,
            linestyle=line,
            drawstyle="steps-post",
            label=region,
        )
    bars = [row for row in histogram if row["region"] == histogram[0]["region"]]
    right.plot(
        *_steps(bars, "expected"),
        color="black",
        linewidth=1,
        drawstyle="steps-post",
        label="N(0, 1)",
    )
    left.set(
        xlabel="nominal share of the interval",
        ylabel="observed share of pixels",
        xlim=(0.4, 1),
        ylim=(0, 1.02),
    )
    right.set(xlabel="z = (intensity - mean) / deviation", ylabel="density")
    left.legend(frameon=False, fontsize=8)
    right.legend(frameon=False, fontsize=7, loc="upper left")
    right.set_ylim(0, 1.5 * right.get_ylim()[1])
    return Picture(
        "Reliability of the predictive Gaussian",
        draw_png(figure),
        "On the dotted diagonal the stated deviations are right; below it they are too small, above it too "
        "large. The outer bins of the histogram hold everything beyond 6 deviations.",
    )


def refusal_picture(rows: Rows) -> Picture:
    """Return matched AUROC and balanced error over the share of slices that are kept.

    Args:
        rows: of ``risk_coverage`` with ``uncertainty``.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    gain, risk = figure.subplots(1, 2)
    for kind, (colour, marker, line) in zip(_kinds(rows, "uncertainty"), STYLES, strict=False):
        for axis, column in ((gain, "gain_matched"), (risk, "risk")):
            shown = [row for row in rows if row["uncertainty"] == kind and row[column] is not None]
            kept, values = _columns(shown, "coverage", column)
            axis.plot(kept, values, color=colour, marker=marker, linestyle=line, label=kind)
            _draw_intervals(axis, shown, "coverage", column, colour)
    gain.axhline(0, color="0.5", linestyle=":")
    gain.set(xlabel="share of slices kept", ylabel="gain in matched AUROC")
    risk.set(xlabel="share of slices kept", ylabel="balanced error at the validation threshold")
    gain.legend(frameon=False, fontsize=8, title="refused by")
    for axis in (gain, risk):
        axis.invert_xaxis()
    return Picture(
        "Refusing the most uncertain slices",
        draw_png(figure),
        "Left: matched AUROC of the kept slices less that of all, with 95 % intervals over patients; those "
        "that cross the dotted line show no difference. Right: lower is better.",
    )


def _kinds(rows: Rows, column: str) -> list[str]:
    return list(dict.fromkeys(row[column] for row in rows))


def _columns(rows: Rows, *names: str) -> list[np.ndarray]:
    return [np.array([row[name] for row in rows], dtype=np.float64) for name in names]


def _steps(bars: Rows, column: str) -> list[np.ndarray]:
    """Return places and heights of a histogram's steps, the right edge of the last bin included."""
    if not bars:
        return _columns(bars, "z_low", column)
    low, high, heights = _columns(bars, "z_low", "z_high", column)
    return [np.append(low, high[-1]), np.append(heights, heights[-1])]


def _draw_intervals(axis: Axes, rows: Rows, place: str, metric: str, colour: str) -> None:
    known = [row for row in rows if row.get(f"{metric}_low") is not None]
    places, low, high = _columns(known, place, f"{metric}_low", f"{metric}_high")
    axis.vlines(places, low, high, color=colour, linewidth=1, alpha=0.7)
