"""The chart below a page's viewer: score and uncertainty of every slice, beside what is normal there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scripts.evaluation.normal_range import LevelBand
from scripts.io.results import SliceResult
from scripts.report.detection_figure import ABNORMAL, NORMAL
from scripts.report.page import draw_png

LEFT, RIGHT = 0.09, 0.99
"""Ends of the axes, in parts of the picture's width."""
MARGINS = {"bottom": 0.11, "top": 0.93, "hspace": 0.25}


@dataclass(frozen=True)
class SliceChart:
    """A picture, and where in it a slice is."""

    png: bytes
    left: float
    """Of slice 0, as a part of the picture's width."""
    step: float
    """From one slice to the next, as a part of the picture's width."""


def band_at(level: float | None, normal_range: Sequence[LevelBand]) -> LevelBand | None:
    """Return the band that holds a level, None where it has no normal slice, or without a level."""
    at = [] if level is None else [band for band in normal_range if band.low <= level]
    return at[-1] if at and at[-1].slices else None


def draw_chart(
    slices: Sequence[SliceResult],
    normal_range: Sequence[LevelBand],
    threshold: float | None,
    units: tuple[str, str],
) -> SliceChart:
    """Draw the scores, with range and threshold, and below them the uncertainties.

    Args:
        slices: of the whole scan, in order.
        normal_range: of the calibration, empty without one.
        threshold: of slices, None without one.
        units: of the score and of the variances.
    """
    figure = Figure(figsize=(11, 5))
    scores, variances = figure.subplots(
        2, 1, sharex=True, height_ratios=(3, 2), gridspec_kw={"left": LEFT, "right": RIGHT, **MARGINS}
    )
    _draw_range(scores, slices, normal_range)
    _draw_scores(scores, slices, threshold)
    scores.set_ylabel(f"slice score ({units[0]})")
    for name, values, colour, style in (
        ("epistemic", [one.epistemic_mean for one in slices], NORMAL, "-"),
        ("aleatoric", [one.aleatoric_mean for one in slices], ABNORMAL, "--"),
    ):
        variances.plot(_with_gaps(values), style, color=colour, marker=".", markersize=4, label=name)
    variances.set_yscale("log")
    variances.set(ylabel=f"mean variance\n({units[1]})", xlabel="slice, from inferior to superior")
    variances.set_xlim(-0.5, len(slices) - 0.5)
    variances.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (scores, variances):
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9, ncols=6, loc="lower left", bbox_to_anchor=(0, 1))
    step = (RIGHT - LEFT) / len(slices)
    return SliceChart(draw_png(figure), LEFT + step / 2, step)


def _draw_range(axis: Axes, slices: Sequence[SliceResult], normal_range: Sequence[LevelBand]) -> None:
    bands = [band_at(one.level, normal_range) for one in slices]
    if not any(bands):
        return
    low, middle, high = (
        _with_gaps([None if band is None else getattr(band, name) for band in bands])
        for name in ("percentile_5", "median", "percentile_95")
    )
    places = np.arange(len(slices))
    axis.fill_between(places, low, high, step="mid", color="0.85", linewidth=0, label="normal, 5 % to 95 %")
    axis.step(places, middle, where="mid", color="0.55", linewidth=1, label="normal, median")


def _draw_scores(axis: Axes, slices: Sequence[SliceResult], threshold: float | None) -> None:
    scores = _with_gaps([one.score for one in slices])
    axis.plot(scores, color="black", linewidth=1, marker=".", markersize=5, label="this scan")
    if threshold is None:
        return
    axis.axhline(threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.3g}")
    above = np.flatnonzero(scores > threshold)
    if above.size:
        axis.plot(above, scores[above], "^", color=ABNORMAL, markeredgecolor="black", label="above it")


def _with_gaps(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
