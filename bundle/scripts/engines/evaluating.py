"""Measure trained weights, and the baselines that need none, on the test slices."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.baselines.trivial import trivial_scores
from scripts.data.slices import SliceDataset
from scripts.engines.learned_baselines import PCA, component_row, feature_scores
from scripts.engines.scoring import ScoredSlices, known_pixels, score_slices
from scripts.evaluation.intervals import merge_rows
from scripts.evaluation.pixel_report import rank_pixels
from scripts.evaluation.slice_report import evaluate_slices
from scripts.io.atomic import atomic_path, write_json
from scripts.io.provenance import machine_and_commit
from scripts.report.detection_figure import plot_detection
from scripts.report.results import TRIVIAL, append_rows
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.scores import RECONSTRUCTION_SCORES, Pooling, Score, score_name

logger = logging.getLogger(__name__)


def evaluate(
    mapper: AnomalyMapper,
    test: SliceDataset,
    training: SliceDataset,
    folder: str,
    alpha: float,
    provenance: Mapping[str, Any],
    alphas: Sequence[float] = (0.0, 0.5),
    bootstrap_samples: int = 1000,
    device: torch.device | str = "cpu",
    amp: bool = False,
    results_file: str | None = None,
) -> list[dict[str, Any]]:
    """Score the test slices, compare with baselines that need no training, write tables and a figure.

    Args:
        mapper: network with its weights.
        test: all brain slices of the test patients.
        training: training slices; baselines learn from them.
        folder: where ``slices.csv``, ``metrics.csv``, ``metrics.json`` and ``detection.png`` go.
        alpha: weight of the squared error in the mapper's own slice score, which the figure shows.
        provenance: dataset, modality, configuration, seed, split_seed and run_dir (whose
            ``history.csv`` tells epochs and minutes), for the results table.
        alphas: weights of the squared error at which every other pixel score is reported.
        bootstrap_samples: resamples of the patients.
        device: where the network runs.
        amp: bfloat16 where it is safe.
        results_file: results table to add the rows to, in place of all that it has of the same measurement.
    """
    scored = score_slices(mapper, test, device, amp=amp)
    scores = model_scores(scored, alphas, mapper, alpha) | feature_scores(mapper, test, training, device)
    rows = model_rows(scored, test, scores, own_score(mapper, alpha), bootstrap_samples)
    trivial = evaluate_slices(test.facts, _trivial(test, training), bootstrap_samples)
    components = component_row(test, training, bootstrap_samples)
    shared = {**_facts(training), **machine_and_commit(), **_identity(provenance)}
    rows = [{**row, **shared, **training_history(provenance["run_dir"])} for row in rows]
    rows += [{**row, **shared, "configuration": TRIVIAL, "seed": None} for row in trivial]
    rows.append({**components, **shared, "configuration": PCA, "seed": None})
    _write(Path(folder), scored, rows)
    plot_detection(
        test.facts,
        scored.scores(mapper.score, alpha, mapper.pooling, mapper.slice_smoothing),
        Path(folder) / "detection.png",
        _title(provenance),
    )
    if results_file is not None:
        append_rows(results_file, rows)
    _print(rows)
    return rows


def model_scores(
    scored: ScoredSlices, alphas: Sequence[float], mapper: AnomalyMapper, alpha: float
) -> dict[str, np.ndarray]:
    """Return every slice score of the model by name: its own, pixel scores at each alpha, both uncertainties.

    Args:
        scored: slices.
        alphas: weights of the squared error.
        mapper: what scored them.
        alpha: weight of the squared error in its own score, the only one that is smoothed over slices.
    """
    pooling, smoothing = Pooling(mapper.pooling), mapper.slice_smoothing
    wanted: list[tuple[str, float, str]] = [(Score.SQUARED_ERROR, 1.0, Pooling.MEAN)]
    others = [score for score in RECONSTRUCTION_SCORES if score is not Score.SQUARED_ERROR]
    wanted += [(score, alpha, Pooling.MEAN) for score in others for alpha in alphas]
    if scored.has(Score.LESION):
        wanted += [(Score.LESION, 0.0, each) for each in Pooling]
    if pooling is not Pooling.MEAN:
        wanted += [(score, 0.0, pooling) for score in RECONSTRUCTION_SCORES]
    read = [(*each, 0.0) for each in wanted]
    read += [(mapper.score, 0.0, pooling, smoothing)] if smoothing else []
    read.append((mapper.score, alpha, pooling, smoothing))
    scores = {score_name(*each): scored.scores(*each) for each in read}
    return scores | {name: scored.table[name].to_numpy() for name in ("epistemic", "aleatoric")}


def own_score(mapper: AnomalyMapper, alpha: float) -> str:
    """Return the name of the mapper's own slice score; ``alpha`` is its weight of the squared error."""
    return score_name(mapper.score, alpha, mapper.pooling, mapper.slice_smoothing)


def model_rows(
    scored: ScoredSlices,
    test: SliceDataset,
    scores: Mapping[str, np.ndarray],
    own: str,
    bootstrap_samples: int = 1000,
) -> list[dict[str, Any]]:
    """Return a row of slice figures for each score; the row of the model's own has those of its map too.

    Args:
        scored: the test slices with their anomaly maps.
        test: where they come from, with masks.
        scores: (N,) of the slices, by name.
        own: name of the model's own score, see :func:`own_score`.
        bootstrap_samples: resamples of the patients.
    """
    rows = evaluate_slices(test.facts, scores, bootstrap_samples)
    pixels = pixel_figures(scored, test, bootstrap_samples)
    return [merge_rows(row, pixels) if row["score"] == own else row for row in rows]


def pixel_figures(scored: ScoredSlices, test: SliceDataset, samples: int) -> dict[str, Any]:
    """Return the pixel figures that need no threshold; Dice at one is in the report."""
    return rank_pixels(*known_pixels(scored.anomaly, test), bootstrap_samples=samples)


def _trivial(test: SliceDataset, training: SliceDataset) -> dict[str, np.ndarray]:
    return trivial_scores(test.images.numpy(), test.facts, training.images.numpy(), training.facts)


def _facts(training: SliceDataset) -> dict[str, Any]:
    return {"patients_train": int(training.facts["patient"].nunique()), "slices_train": len(training)}


def _identity(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "run_dir"}


def _title(provenance: Mapping[str, Any]) -> str:
    return f"{provenance['dataset']}, {provenance['modality']}, {provenance['configuration']}"


def training_history(run_dir: str) -> dict[str, Any]:
    """Return epochs and minutes of the training in ``run_dir``, nothing where it left no history."""
    path = Path(run_dir) / "history.csv"
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {"epochs": len(rows), "minutes": sum(float(row["seconds"]) for row in rows) / 60}


def _write(folder: Path, scored: ScoredSlices, rows: list[dict[str, Any]]) -> None:
    with atomic_path(folder / "slices.csv") as path:
        scored.table.to_csv(path, index=False)
    write_json(folder / "metrics.json", rows)
    (folder / "metrics.csv").unlink(missing_ok=True)
    append_rows(folder / "metrics.csv", rows)


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    print(
        f"\n{first['patients_test']} test patients, {first['slices_normal']} normal and "
        f"{first['slices_abnormal']} abnormal slices; 95 % intervals over patients"
    )
    print(f"{'score':42} {'AUROC':>7} {'AP':>7}  {'matched AUROC':>22}")
    for row in rows:
        kind = "  (no model)" if row["configuration"] == TRIVIAL else ""
        figures = f"{_cell(row['auroc_balanced'])} {_cell(row['ap_balanced'])}  {_matched(row)}"
        print(f"{row['score'] + kind:42} {figures}")
    if first["undefined"]:
        print(f"Not defined: {first['undefined']}")


def _matched(row: Mapping[str, Any]) -> str:
    interval = ""
    if row["auroc_matched_low"] is not None:
        interval = f"[{row['auroc_matched_low']:.3f}, {row['auroc_matched_high']:.3f}]"
    return f"{_cell(row['auroc_matched'])} {interval:>15}"


def _cell(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.3f}"
