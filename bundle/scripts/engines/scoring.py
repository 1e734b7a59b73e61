"""Score every slice of a data set with the evaluation engine, into one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.utils import CommonKeys
from tqdm import tqdm

from scripts.data.slices import SliceDataset
from scripts.engines.trainer import VAEEvaluator
from scripts.errors import ModelError
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.scores import Score

MEASURES = ("elbo", "kl", "epistemic", "aleatoric", *(f"mean_{score.value}" for score in Score))


@dataclass(frozen=True)
class ScoredSlices:
    """Slice facts with the columns of :data:`MEASURES`, and the maps, float32."""

    table: pd.DataFrame
    anomaly: np.ndarray
    """(N, H, W)"""
    pred: np.ndarray | None = None
    """(N, 4 + C, H, W), every channel of the mapper; None unless asked for."""
    z: np.ndarray | None = None
    """(N, C, H, W), error in units of the predicted deviation; None unless asked for."""

    def scores(self, score: str, alpha: float) -> np.ndarray:
        """Return A = alpha * mean((x - mean)^2) + (1 - alpha) * mean(pixel score) of each slice, (N,)."""
        error = self.table[f"mean_{Score.SQUARED_ERROR.value}"].to_numpy()
        return alpha * error + (1 - alpha) * self.table[f"mean_{Score(score).value}"].to_numpy()


def score_slices(
    mapper: AnomalyMapper,
    dataset: SliceDataset,
    device: torch.device | str = "cpu",
    batch_size: int = 16,
    amp: bool = False,
    all_maps: bool = False,
) -> ScoredSlices:
    """Run ``mapper`` over ``dataset`` once.

    Args:
        mapper: network with its weights.
        dataset: slices.
        device: where the network runs.
        batch_size: slices at once.
        amp: bfloat16 where it is safe.
        all_maps: keep ``pred`` and ``z`` too, 0.4 MB a slice of one modality.

    Raises:
        ModelError: a measure of a slice is NaN or infinite; the message names the scan and slice.
    """
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=0)
    evaluator = VAEEvaluator(
        device=torch.device(device), val_data_loader=loader, network=mapper, amp=amp, decollate=False
    )
    kept = (*MEASURES, *((CommonKeys.PRED, "z") if all_maps else ()))
    collected: dict[str, list[np.ndarray]] = {name: [] for name in (*kept, "anomaly")}
    with tqdm(total=len(dataset), desc="scoring", unit="slice", disable=None) as bar:

        @evaluator.on(Events.ITERATION_COMPLETED)
        def collect(engine: VAEEvaluator) -> None:
            output = engine.state.output
            for name in kept:
                collected[name].append(output[name].float().cpu().numpy())
            collected["anomaly"].append(output[CommonKeys.PRED][:, 1].float().cpu().numpy())
            bar.update(len(output["elbo"]))

        evaluator.run()
    table = dataset.facts.copy()
    for name in MEASURES:
        table[name] = np.concatenate(collected[name]).astype(np.float64)
    _check_finite(table)
    maps = [np.concatenate(collected[name]) for name in ("anomaly", *kept[len(MEASURES) :])]
    return ScoredSlices(table, *maps)


def foreground_values(scored: ScoredSlices, dataset: SliceDataset) -> Iterator[np.ndarray]:
    """Yield each slice's anomaly values on its foreground."""
    for anomaly, image in zip(scored.anomaly, dataset.images.numpy(), strict=True):
        yield anomaly[image.max(axis=0) > 0]


def _check_finite(table: pd.DataFrame) -> None:
    broken = ~np.isfinite(table[list(MEASURES)].to_numpy()).all(axis=1)
    if broken.any():
        row = table[broken].iloc[0]
        raise ModelError(
            f"{row['case']}, slice {row['slice']}: expected finite scores, the network gave NaN or infinity; "
            "the weights are damaged or mixed precision overflowed (--amp false)."
        )
