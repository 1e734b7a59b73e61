"""One picture of a detection result: scores by class, ROC, and scores along the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from scripts.evaluation.detection import undefined_reason
from scripts.io.atomic import atomic_path

# Okabe and Ito's blue and vermilion: distinct in every common colour blindness.
NORMAL, ABNORMAL = "#0072B2", "#D55E00"


def plot_detection(facts: pd.DataFrame, scores: np.ndarray, path: str | Path, title: str) -> Path:
    """Draw slice scores of normal and abnormal slices, their ROC curve, and score against level.

    Args:
        facts: slice facts with columns level and label (1 abnormal, 0 normal, -1 left out).
        scores: (N,) slice scores, higher is more abnormal.
        path: PNG to write.
        title: one line above the picture.
    """
    known = facts["label"].to_numpy() != -1
    labels, levels, values = facts["label"].to_numpy()[known], facts["level"].to_numpy()[known], scores[known]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    histogram, curve, along = figure.subplots(1, 3)
    for label, name, colour in ((0, "normal slices", NORMAL), (1, "abnormal slices", ABNORMAL)):
        chosen = labels == label
        if chosen.any():
            edges = np.histogram_bin_edges(values, bins=30)
            histogram.hist(values[chosen], edges, density=True, alpha=0.6, color=colour, label=name)
            along.scatter(levels[chosen], values[chosen], s=8, alpha=0.6, color=colour, label=name)
    histogram.set(xlabel="slice score", ylabel="density")
    histogram.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    along.set(xlabel="level (0 lowest slice, 1 highest)", ylabel="slice score")
    _draw_roc(curve, values, labels)
    figure.suptitle(f"{title} - research use only")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return Path(path)


def _draw_roc(axis: Axes, values: np.ndarray, labels: np.ndarray) -> None:
    axis.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    reason = undefined_reason(labels)
    if reason is not None:
        axis.text(0.5, 0.5, f"undefined:\n{reason}", ha="center", va="center")
        return
    false_positives, true_positives, _ = roc_curve(labels, values)
    axis.plot(false_positives, true_positives, color="black")
    axis.plot((0, 1), (0, 1), color="0.7", linestyle=":")
