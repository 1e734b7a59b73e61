"""Measure an ensemble on the test images it was trained for, with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.data.anomaly_splits import AnomalySplit
from scripts.errors import InputError
from scripts.evaluation.detection import auroc, average_precision
from scripts.io.atomic import write_json
from scripts.latent.ensemble import Ensemble, load_ensemble
from scripts.latent.evidence import encode_images
from scripts.latent.scores import Average, LatentScore, Merge, class_log_confidences
from scripts.report.clvae_figures import plot_latents
from scripts.report.score_figure import plot_scores


def evaluate_ensemble(
    folder: str,
    split: AnomalySplit,
    evaluation_dir: str,
    device: torch.device | str = "cpu",
    score: str = LatentScore.COMBINED,
    merge: str = Merge.CLASSES,
    average: str = Average.GEOMETRIC,
) -> dict[str, Any]:
    """Return AUROC and average precision of every score; print them and write JSON and pictures.

    Args:
        folder: of the members.
        split: that they were trained on.
        evaluation_dir: gets ``metrics.json``, ``latent.png`` (first member) and ``scores.png``.
        device: where to compute.
        score: a :class:`LatentScore`, drawn.
        merge: a :class:`Merge`.
        average: an :class:`Average`.

    Raises:
        InputError: the ensemble was trained on another split.
    """
    ensemble = load_ensemble(folder)
    _check_split(ensemble, split, folder)
    evidence = ensemble.evidence(split.test_images, device)
    anomalous = split.test_anomalous.astype(np.int64)
    scores = {str(one): ensemble.score(evidence, one, merge, average) for one in LatentScore}
    best = class_log_confidences(evidence, average).argmax(axis=1)
    metrics = {
        "anomaly": split.name,
        "members": len(ensemble.members),
        "merge": str(Merge(merge)),
        "average": str(Average(average)),
        "normal": int((anomalous == 0).sum()),
        "anomalous": int(anomalous.sum()),
        "accuracy": _accuracy(best, split.test_labels),
        "auroc": {name: auroc(values, anomalous) for name, values in scores.items()},
        "ap": {name: average_precision(values, anomalous) for name, values in scores.items()},
    }
    write_json(Path(evaluation_dir) / "metrics.json", metrics)
    member = ensemble.members[0]
    latents = encode_images(member.network, split.test_images, torch.device(device))
    plot_latents(member, latents.means, split.test_labels, Path(evaluation_dir) / "latent.png")
    values = scores[LatentScore(score)]
    plot_scores(values, anomalous, Path(evaluation_dir) / "scores.png", f"{score}, {split.name}")
    _print(metrics, evaluation_dir)
    return metrics


def _check_split(ensemble: Ensemble, split: AnomalySplit, folder: str) -> None:
    trained = ensemble.members[0].facts["split"]
    if trained != split.name:
        raise InputError(
            f"{folder}: expected an ensemble trained for {split.name}, found one for {trained}; "
            "give the --anomaly it was trained for."
        )
    training = ensemble.members[0].facts.get("training_sha256", split.training_sha256)
    if training != split.training_sha256:
        raise InputError(
            f"{folder}: expected an ensemble trained on the training images of {split.name}, found one of "
            "others, which may be among the test images; give its --split_seed, --protocol and --dataset."
        )


def _accuracy(best: NDArray[np.int64], labels: NDArray[np.int64]) -> float | None:
    """Return the share of inliers whose class is the most confident one."""
    inlier = labels >= 0
    return float((best[inlier] == labels[inlier]).mean()) if inlier.any() else None


def _print(metrics: Mapping[str, Any], evaluation_dir: str) -> None:
    print(f"\n{metrics['anomaly']}: {metrics['normal']} normal and {metrics['anomalous']} anomalous images")
    print(f"{'score':22} {'AUROC':>7} {'AP':>7}")
    for name, value in metrics["auroc"].items():
        print(f"{name:22} {_cell(value)} {_cell(metrics['ap'][name])}")
    print(f"Pictures in {evaluation_dir}.")


def _cell(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.3f}"
