"""Slice scores as pictures: histograms, ROC and precision-recall with bands, and scores along the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.evaluation.normal_range import LevelBand
from scripts.report.detection_figure import ABNORMAL, NORMAL
from scripts.report.page import Picture, draw_png

CLASSES = ((0, "normal slices", NORMAL, "o"), (1, "abnormal slices", ABNORMAL, "^"))
"""Label, name, colour and marker: told apart without colour, too."""


def score_picture(facts: pd.DataFrame, scores: np.ndarray, threshold: float | None, unit: str) -> Picture:
    """Return the histograms of normal and abnormal slice scores.

    Args:
        facts: slice facts with label (1 abnormal, 0 normal, -1 left out).
        scores: (N,) slice scores.
        threshold: of the validation slices, None where there is none.
        unit: of the score.
    """
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axis = figure.subplots()
    edges = np.histogram_bin_edges(scores, bins=40).tolist()
    for label, name, colour, _ in CLASSES:
        chosen = scores[facts["label"].to_numpy() == label]
        if chosen.size:
            axis.hist(chosen, edges, density=True, alpha=0.55, color=colour, label=f"{chosen.size} {name}")
            axis.hist(chosen, edges, density=True, histtype="step", color=colour)
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", label=f"validation threshold {threshold:.3g}")
    axis.set(xlabel=f"slice score ({unit})", ylabel="density")
    _draw_legend(axis)
    return Picture(
        "Scores of normal and abnormal slices",
        draw_png(figure),
        "Where the two lie on top of each other no threshold can tell them apart.",
    )


def curve_picture(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Return ROC and precision-recall curves with 95 % bands over resampled patients.

    Args:
        rows: points ``x``, ``y``, ``y_low``, ``y_high`` of the ``curve`` roc and precision_recall.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    roc, precision = figure.subplots(1, 2)
    _draw_curve(roc, [row for row in rows if row["curve"] == "roc"])
    _draw_curve(precision, [row for row in rows if row["curve"] == "precision_recall"])
    roc.plot((0, 1), (0, 1), color="0.5", linestyle=":")
    precision.axhline(0.5, color="0.5", linestyle=":")
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    precision.set(xlabel="recall", ylabel="precision (classes balanced)", title="precision and recall")
    for axis in (roc, precision):
        axis.set(xlim=(0, 1), ylim=(0, 1.02))
    return Picture(
        "ROC and precision-recall curves",
        draw_png(figure),
        "Bands hold 95 % of the curves of resampled patients, place by place; dotted lines are chance. "
        "Plain curves: position is not matched.",
    )


def level_picture(
    facts: pd.DataFrame,
    scores: np.ndarray,
    normal_range: Sequence[LevelBand] | None,
    threshold: float | None,
    unit: str,
) -> Picture:
    """Return score against slice level, with the range of lesion-free validation slices behind it.

    Args:
        facts: slice facts with level and label.
        scores: (N,) slice scores.
        normal_range: of the run's calibration, None where there is none.
        threshold: of the validation slices, None where there is none.
        unit: of the score.
    """
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axis = figure.subplots()
    for band in normal_range or ():
        if band.percentile_5 is not None and band.percentile_95 is not None and band.median is not None:
            places = (band.low, band.high)
            axis.fill_between(places, band.percentile_5, band.percentile_95, color="0.85", linewidth=0)
            axis.plot(places, (band.median, band.median), color="0.45")
    for label, name, colour, marker in CLASSES:
        chosen = facts["label"].to_numpy() == label
        if not chosen.any():
            continue
        axis.scatter(
            facts["level"].to_numpy()[chosen],
            scores[chosen],
            s=10,
            alpha=0.6,
            color=colour,
            marker=marker,
            label=name,
        )
    if threshold is not None:
        axis.axhline(threshold, color="black", linestyle="--", linewidth=1)
    axis.set(xlabel="level (0 lowest slice with brain, 1 highest)", ylabel=f"slice score ({unit})")
    _draw_legend(axis)
    described = "Grey: 5 % to 95 % of lesion-free validation slices with their median; dashed: the threshold."
    return Picture(
        "Scores along the head",
        draw_png(figure),
        described if normal_range else "No normal range: the run has no calibration for these settings.",
    )


def _draw_legend(axis: Axes) -> None:
    if axis.get_legend_handles_labels()[0]:
        # Above the axis: to search for a place among many points takes seconds on a busy machine.
        axis.legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


def _draw_curve(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        axis.text(0.5, 0.5, "undefined:\none class is missing", ha="center", va="center")
        return
    x, y = ([row[name] for row in rows] for name in "xy")
    axis.plot(x, y, color="black")
    if rows[0]["y_low"] is not None:
        low, high = ([row[name] for row in rows] for name in ("y_low", "y_high"))
        axis.fill_between(x, low, high, color=NORMAL, alpha=0.25, linewidth=0)
