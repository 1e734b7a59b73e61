"""One picture of a score: its histogram for normal and anomalous images, and the ROC curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from scripts.evaluation.detection import auroc
from scripts.io.atomic import atomic_path
from scripts.report.detection_figure import ABNORMAL, NORMAL


def plot_scores(
    scores: NDArray[np.float64], anomalous: NDArray[np.int64], path: str | Path, title: str
) -> Path:
    """Draw a score (N,) of images that are normal (0) or anomalous (1), and its ROC curve.

    The histogram ends at the 99.5th percentile: far anomalies would press the rest into one bar.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    histogram, curve = figure.subplots(1, 2)
    edges = np.linspace(scores.min(), np.quantile(scores, 0.995), 60)
    for label, name, colour in ((0, "normal", NORMAL), (1, "anomalous", ABNORMAL)):
        chosen = np.clip(scores[anomalous == label], edges[0], edges[-1])
        if chosen.size:
            histogram.hist(chosen, edges, density=True, alpha=0.6, color=colour, label=name)
    histogram.set(xlabel="anomaly score", ylabel="density")
    histogram.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    curve.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    value = auroc(scores, anomalous)
    if value is not None:
        false_positives, true_positives, _ = roc_curve(anomalous, scores)
        curve.plot(false_positives, true_positives, color="black", label=f"AUROC {value:.3f}")
        curve.legend(frameon=False, loc="lower right")
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return Path(path)
