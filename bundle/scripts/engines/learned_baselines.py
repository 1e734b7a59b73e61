"""Scores of the baselines that learn without a training of their own: components, encoder features."""

from __future__ import annotations

from typing import Any

import torch

from scripts.baselines.baseline import Images, Scores
from scripts.baselines.features import FeatureBaseline, Features, Mahalanobis, NearestNormal
from scripts.baselines.pca import PrincipalComponents, head_means
from scripts.data.slices import SliceDataset
from scripts.engines.scoring import known_pixels
from scripts.evaluation.intervals import merge_rows
from scripts.evaluation.pixel_report import rank_pixels
from scripts.evaluation.slice_report import evaluate_slices
from scripts.uncertainty.mapper import AnomalyMapper

PCA = "pca"
"""Configuration and score of the rows of principal components."""

FEATURES: dict[str, type[FeatureBaseline]] = {
    "knn, encoder features": NearestNormal,
    "mahalanobis, encoder features": Mahalanobis,
}


def component_row(test: SliceDataset, training: SliceDataset, bootstrap_samples: int) -> dict[str, Any]:
    """Return slice and pixel figures of reconstruction from principal components of the training slices."""
    baseline, images = PrincipalComponents(), test.images.numpy()
    baseline.fit(training.images.numpy(), training.facts)
    maps = baseline.maps(images)
    (row,) = evaluate_slices(test.facts, {PCA: head_means(maps, images)}, bootstrap_samples)
    pixels = rank_pixels(*known_pixels(maps, test), bootstrap_samples=bootstrap_samples)
    return merge_rows(row, pixels)


def feature_scores(
    mapper: AnomalyMapper, test: SliceDataset, training: SliceDataset, device: torch.device | str = "cpu"
) -> dict[str, Scores]:
    """Return distances (N,) to the training slices in the features of a trained encoder.

    Nothing for a network without one (a U-Net's skip connections leave no place that holds the slice).
    """
    if not hasattr(mapper, "encoder"):
        return {}

    def encode(images: Images) -> Features:
        return encoder_features(mapper, images, device)

    scores = {}
    for name, kind in FEATURES.items():
        baseline = kind(encode)
        baseline.fit(training.images.numpy(), training.facts)
        scores[name] = baseline.score(test.images.numpy(), test.facts)
    return scores


def encoder_features(
    mapper: AnomalyMapper, images: Images, device: torch.device | str = "cpu", batch_size: int = 16
) -> Features:
    """Return the encoder's last map averaged over its positions, (N, F), of slices (N, C, H, W)."""
    encoder = mapper.to(device).eval().get_submodule("encoder")
    with torch.no_grad():
        parts = [
            encoder(batch.to(device)).mean(dim=(2, 3)).float().cpu()
            for batch in torch.from_numpy(images).split(batch_size)
        ]
    return torch.cat(parts).numpy()
