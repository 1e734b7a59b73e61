"""Score a user's own images with a saved ensemble."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import torch

from scripts.data.image_files import read_images
from scripts.io.atomic import atomic_path
from scripts.latent.ensemble import load_ensemble
from scripts.latent.scores import Average, LatentScore, Merge

logger = logging.getLogger(__name__)


def score_images(
    images: str,
    model_dir: str,
    output_file: str,
    device: torch.device | str = "cpu",
    score: str = LatentScore.COMBINED,
    merge: str = Merge.CLASSES,
    average: str = Average.GEOMETRIC,
) -> pd.DataFrame:
    """Write one row for each image: anomaly score, every other score, best class and confidence in each.

    Args:
        images: a folder of pictures, or a .npz, see :func:`scripts.data.image_files.read_images`.
        model_dir: folder of the ensemble's members.
        output_file: CSV to write, the most anomalous images first.
        device: where to compute.
        score: the :class:`LatentScore` that is called ``anomaly_score`` and sorted by.
        merge: a :class:`Merge`.
        average: an :class:`Average`.

    Returns:
        What was written.
    """
    ensemble = load_ensemble(model_dir)
    arguments = ensemble.members[0].network.arguments
    size = arguments["image_size"]
    names, pixels = read_images(images, (arguments["in_channels"], size, size))
    evidence = ensemble.evidence(pixels, device)
    confidences = ensemble.confidences(evidence, average)
    table = pd.DataFrame({"image": names})
    table["anomaly_score"] = ensemble.score(evidence, score, merge, average)
    table["best_class"] = [ensemble.classes[best] for best in confidences.argmax(axis=1)]
    for one in LatentScore:
        table[str(one)] = ensemble.score(evidence, one, merge, average)
    for number, name in enumerate(ensemble.classes):
        table[f"confidence_{name}"] = confidences[:, number]
    table = table.sort_values("anomaly_score", ascending=False, kind="stable", ignore_index=True)
    with atomic_path(output_file) as temporary:
        table.to_csv(temporary, index=False)
    logger.info("%d images scored by %d members; %s.", len(table), len(ensemble.members), Path(output_file))
    return table
