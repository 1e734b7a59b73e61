"""Score every slice of a data set with the evaluation engine, into one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.utils import CommonKeys
from tqdm import tqdm

from scripts.data.slices import SliceDataset, SliceLabel
from scripts.engines.trainer import DrawEvaluator
from scripts.errors import ModelError
from scripts.uncertainty.mapper import AnomalyMapper
from scripts.uncertainty.scores import Pooling, Score, pool, scored_pixels
from scripts.uncertainty.slice_smoothing import smooth_over_slices

MEASURES = ("elbo", "kl", "epistemic", "aleatoric")
"""Measures of every slice, besides a column ``<pooling>_<score>`` for every score of the network."""
SMOOTHED = "smoothed_"
"""Begins the columns of the mapper's own score where it is smoothed over neighbouring slices."""


@dataclass(frozen=True)
class ScoredSlices:
    """Slice facts with the measures of every slice, see :data:`MEASURES`, and the maps, float32."""

    table: pd.DataFrame
    anomaly: np.ndarray
    """(N, H, W), smoothed over neighbouring slices where the mapper says so, also in ``pred``."""
    pred: np.ndarray | None = None
    """(N, 4 + C, H, W), every channel of the mapper; None unless asked for."""
    z: np.ndarray | None = None
    """(N, C, H, W), error in units of the predicted deviation; None unless asked for."""

    def scores(
        self, score: str, alpha: float, pooling: str = Pooling.MEAN, slice_smoothing: float = 0.0
    ) -> np.ndarray:
        """Return A = alpha * mean((x - mean)^2) + (1 - alpha) * pool(pixel score) of each slice, (N,).

        Args:
            score: a :class:`Score`.
            alpha: weight of the squared error.
            pooling: a :class:`Pooling`.
            slice_smoothing: 0 for pixel scores of the slice alone, else that of the mapper, whose own score
                alone is smoothed over neighbouring slices.
        """
        error = self.table[f"mean_{Score.SQUARED_ERROR.value}"].to_numpy()
        column = f"{Pooling(pooling).value}_{Score(score).value}"
        pooled = self.table[SMOOTHED + column if slice_smoothing else column].to_numpy()
        return alpha * error + (1 - alpha) * pooled

    def has(self, score: Score) -> bool:
        """Return whether the network has this score."""
        return f"{Pooling.MEAN.value}_{score.value}" in self.table


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
        dataset: slices, each of a scan once.
        device: where the network runs.
        batch_size: slices at once.
        amp: bfloat16 where it is safe.
        all_maps: keep ``pred`` and ``z`` too, 0.4 MB a slice of one modality.

    Raises:
        ModelError: a measure of a slice is NaN or infinite; the message names the scan and slice.
    """
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=0)
    evaluator = DrawEvaluator(
        device=torch.device(device), val_data_loader=loader, network=mapper, amp=amp, decollate=False
    )
    collected: dict[str, list[np.ndarray]] = defaultdict(list)
    with tqdm(total=len(dataset), desc="scoring", unit="slice", disable=None) as bar:

        @evaluator.on(Events.ITERATION_COMPLETED)
        def collect(engine: DrawEvaluator) -> None:
            output = dict(engine.state.output)
            pred, z = (output.pop(name).float().cpu().numpy() for name in (CommonKeys.PRED, "z"))
            collected["anomaly"].append(pred[:, 1])
            if all_maps:
                collected[CommonKeys.PRED].append(pred)
                collected["z"].append(z)
            for name in filter(_is_measure, output):
                collected[name].append(output[name].double().cpu().numpy())
            bar.update(len(pred))

        evaluator.run()
    joined = {name: np.concatenate(parts) for name, parts in collected.items()}
    measures = {name: joined[name] for name in filter(_is_measure, joined)}
    _check_finite(dataset.facts, measures)
    anomaly, pred = joined["anomaly"], joined.get(CommonKeys.PRED)
    if mapper.slice_smoothing:
        anomaly = _smooth(anomaly, dataset, mapper.slice_smoothing)
        measures |= _pool(anomaly, dataset, mapper.score)
        if pred is not None:
            pred[:, 1] = anomaly
    return ScoredSlices(dataset.facts.assign(**measures), anomaly, pred, joined.get("z"))


def _smooth(anomaly: np.ndarray, dataset: SliceDataset, deviation: float) -> np.ndarray:
    """Return maps (N, H, W) smoothed over the neighbouring slices of each scan."""
    facts = dataset.facts
    places = torch.tensor((facts["slice"] * facts["spacing_mm"]).tolist(), dtype=torch.float64)
    foreground = scored_pixels(dataset.images, whole=False)[:, 0]
    maps, smooth = torch.from_numpy(anomaly), torch.empty(anomaly.shape)
    for scan in facts.groupby("case").indices.values():
        rows = torch.tensor(scan)
        smooth[rows] = smooth_over_slices(maps[rows], foreground[rows], places[rows], deviation)
    return smooth.numpy()


def _pool(anomaly: np.ndarray, dataset: SliceDataset, score: str) -> dict[str, np.ndarray]:
    """Return the columns of a smoothed score, by each pooling."""
    values, scored = torch.from_numpy(anomaly)[:, None], scored_pixels(dataset.images, whole=False)
    pooled = {each.value: pool(values, scored, each).double().numpy() for each in Pooling}
    return {f"{SMOOTHED}{each}_{score}": column for each, column in pooled.items()}


def _is_measure(name: str) -> bool:
    return name in MEASURES or name.startswith(tuple(f"{pooling.value}_" for pooling in Pooling))


def known_pixels(
    values: np.ndarray, dataset: SliceDataset
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return what pixel figures are made of, of the slices whose lesions are known; none without masks.

    Args:
        values: (N, X, Y) a map of every slice.
        dataset: the slices.

    Returns:
        Map, masks and foreground (M, X, Y), and patients (M,).
    """
    facts = dataset.facts
    kept = ((facts["label"] != SliceLabel.UNKNOWN) | facts["lesion_mm2"].notna()).to_numpy()
    foreground = dataset.images.numpy().max(axis=1) > 0
    patients = facts["patient"].to_numpy()
    return values[kept], dataset.masks[:, 0].numpy()[kept], foreground[kept], patients[kept]


def foreground_values(scored: ScoredSlices, dataset: SliceDataset) -> Iterator[np.ndarray]:
    """Yield each slice's anomaly values on its foreground."""
    for anomaly, image in zip(scored.anomaly, dataset.images.numpy(), strict=True):
        yield anomaly[image.max(axis=0) > 0]


def _check_finite(facts: pd.DataFrame, measures: Mapping[str, np.ndarray]) -> None:
    broken = ~np.all([np.isfinite(values) for values in measures.values()], axis=0)
    if broken.any():
        row = facts[broken].iloc[0]
        raise ModelError(
            f"{row['case']}, slice {row['slice']}: expected finite scores, the network gave NaN or infinity; "
            "the weights are damaged or mixed precision overflowed (--amp false)."
        )
