"""Pictures of the CL-VAE: AUROC against ensemble size and latent dimension, and the latent space itself."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from scripts.errors import BundleError
from scripts.io.atomic import atomic_path
from scripts.latent.member import Member
from scripts.report.clvae_results import BENCHMARK, LATENT_PREFIX
from scripts.report.results import Row, read_rows

Array = NDArray[np.float64]

ANOMALY_COLOUR = "black"
MARKERS = "osD^v<>Pp*"
MOST_POINTS = 3000
"""Images drawn of each kind; more only cover each other."""


def plot_ensemble_sizes(rows: Sequence[Row], path: str | Path, score: str, merge: str) -> Path | None:
    """Draw mean AUROC against the number of members, a line per data set and configuration of the CL-VAE.

    Args:
        rows: of the results file.
        path: PNG to write.
        score: score of the lines.
        merge: how members are merged.

    Returns:
        ``path``; None, and no file, where nothing has been run with several sizes.
    """
    chosen = [
        row
        for row in rows
        if row["model"] == "clvae" and row["score"] == score and row["merge"] in ("", merge)
    ]
    lines = _curves(
        chosen, lambda row: int(row["members"]), lambda row: f"{row['dataset']}, {row['configuration']}"
    )
    return _plot_curves(lines, path, "members of the ensemble", f"{score}, merged by {merge}")


def plot_latent_sizes(rows: Sequence[Row], path: str | Path, score: str) -> Path | None:
    """Draw mean AUROC of single members against the latent dimension, a line per data set.

    Args:
        rows: of the results file, see :data:`LATENT_PREFIX`.
        path: PNG to write.
        score: score of the lines.

    Returns:
        As :func:`plot_ensemble_sizes`.
    """
    chosen = [
        row
        for row in rows
        if row["configuration"].startswith(LATENT_PREFIX) and row["members"] == "1" and row["score"] == score
    ]
    lines = _curves(
        chosen, lambda row: int(row["configuration"].removeprefix(LATENT_PREFIX)), lambda row: row["dataset"]
    )
    return _plot_curves(lines, path, "latent dimension", score)


def plot_latents(member: Member, means: Array, labels: NDArray[np.int64], path: str | Path) -> Path:
    """Draw the latent means of test images, inliers by class and anomalies in black, with the class centres.

    In two or three dimensions as they are; of more, the two directions in which the centres differ most.

    Args:
        member: the network that encoded them.
        means: (N, latent).
        labels: (N,) index of the class, -1 for an anomaly.
        path: PNG to write.
    """
    centres = member.network.centres.detach().double().cpu().numpy()
    names = [*member.facts["classes"]]
    axis_names = [f"latent dimension {number + 1}" for number in range(3)]
    if means.shape[1] > 3:
        projection = PCA(2).fit(centres if len(centres) > 2 else means)
        means, centres = projection.transform(means), projection.transform(centres)
        axis_names = ["direction of the centres 1", "direction of the centres 2"]
    figure = Figure(figsize=(6.5, 5.5), layout="constrained")
    axes: Any = figure.add_subplot(projection="3d" if means.shape[1] == 3 else None)
    _scatter(axes, means, labels, names)
    axes.scatter(*centres.T, s=120, marker="+", color="0.2", label="centres of the priors")
    axes.set(xlabel=axis_names[0], ylabel=axis_names[1])
    axes.legend(fontsize=7, markerscale=2, loc="upper left", bbox_to_anchor=(1.02, 1))
    return _save(figure, path)


def _scatter(
    axes: Any,  # noqa: ANN401 - matplotlib's axes in two or three dimensions
    means: Array,
    labels: NDArray[np.int64],
    names: Sequence[str],
) -> None:
    generator = np.random.default_rng(0)
    # Ten shades of one scale that the colour-blind see in order, and a marker of its own for each class.
    colours = _shades(len(names))
    for label in (*range(len(names)), -1):
        rows = np.flatnonzero(labels == label)
        rows = rows if len(rows) <= MOST_POINTS else generator.choice(rows, MOST_POINTS, replace=False)
        axes.scatter(
            *means[rows].T,
            s=6 if label >= 0 else 3,
            alpha=0.5,
            marker=MARKERS[label % len(MARKERS)] if label >= 0 else "x",
            color=ANOMALY_COLOUR if label < 0 else colours[label],
            linewidths=0.5,
            label="anomaly" if label < 0 else f"class {names[label]}",
        )


def _shades(count: int) -> list[tuple[float, ...]]:
    return [tuple(colormaps["viridis"](one)) for one in np.linspace(0, 0.95, count)]


def _curves(
    rows: Iterable[Row], place: Callable[[Row], int], name: Callable[[Row], str]
) -> Mapping[str, dict[int, float]]:
    """Return for each line its points: place and mean AUROC over all held-out classes, where all are done."""
    grouped: dict[str, dict[int, dict[str, list[float]]]] = {}
    for row in rows:
        if row["held_out"]:
            at = grouped.setdefault(name(row), {}).setdefault(place(row), {})
            at.setdefault(row["held_out"], []).append(float(row["auroc"]))
    lines = {
        line: {
            x: statistics.fmean(statistics.fmean(values) for values in classes.values())
            for x, classes in sorted(points.items())
            if len(classes) == max(len(one) for one in points.values())
        }
        for line, points in sorted(grouped.items())
    }
    return {line: points for line, points in lines.items() if len(points) > 1}


def _plot_curves(
    lines: Mapping[str, dict[int, float]], path: str | Path, axis: str, title: str
) -> Path | None:
    if not lines:
        return None
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for marker, colour, (name, points) in zip(MARKERS, _shades(len(lines)), lines.items(), strict=False):
        axes.plot([*points], [*points.values()], marker=marker, color=colour, label=name)
    axes.set(xlabel=axis, ylabel="mean AUROC over the held-out classes", title=title)
    axes.set_xticks(sorted({x for points in lines.values() for x in points}))
    axes.legend(frameon=False)
    return _save(figure, path)


def _save(figure: Figure, path: str | Path) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    return Path(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the figures of a results file; return the exit code, 0 or that of the error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.report.clvae_figures",
        description="Draw mean AUROC against ensemble size and against latent dimension.",
    )
    parser.add_argument("results", type=Path, metavar="CSV", help="results file of the benchmark")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="gets clvae_*_sizes.png")
    parser.add_argument("--score", default="combined", help="(default: %(default)s)")
    parser.add_argument("--merge", default="classes, geometric", help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        rows = read_rows(options.results, BENCHMARK)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    place, score = options.folder, options.score
    for kind, path in (
        ("ensemble", plot_ensemble_sizes(rows, place / "clvae_ensemble_sizes.png", score, options.merge)),
        ("latent", plot_latent_sizes(rows, place / "clvae_latent_sizes.png", score)),
    ):
        print(path or f"No {kind} sizes to draw: nothing has been run with several.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
