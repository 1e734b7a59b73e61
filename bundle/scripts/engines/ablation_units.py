"""One unit of an ablation, a variant and a seed: scores of the test slices, and its file when it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from scripts.data.slices import SliceDataset
from scripts.engines.evaluating import model_rows, model_scores, own_score, training_history
from scripts.engines.scoring import score_slices
from scripts.io.atomic import atomic_path, write_json
from scripts.io.weights import load_weights
from scripts.uncertainty.mapper import AnomalyMapper

FACTS = ("case", "patient", "slice", "level", "label")
"""Columns that a unit's file keeps of each slice, beside its scores."""


@dataclass(frozen=True)
class UnitResult:
    """What a unit leaves behind.

    Attributes:
        slices: :data:`FACTS` of every test slice, then a column for each score.
        score: the column that the variant is judged by.
        rows: of the results file.
        settings: what the unit depends on; JSON values.
    """

    slices: pd.DataFrame
    score: str
    rows: list[dict[str, Any]]
    settings: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write the result: a table of slices beside ``path``, and then ``path`` itself, with the rest."""
        with atomic_path(path.with_suffix(".csv")) as temporary:
            self.slices.to_csv(temporary, index=False)
        write_json(path, {"score": self.score, "rows": self.rows, "settings": dict(self.settings)})


def load_unit(path: Path) -> UnitResult:
    """Read what :meth:`UnitResult.save` wrote."""
    rest = json.loads(path.read_text(encoding="utf-8"))
    texts = {"case": str, "patient": str}
    slices = pd.read_csv(path.with_suffix(".csv"), dtype=texts)
    return UnitResult(slices, rest["score"], rest["rows"], rest["settings"])


def measure(
    mapper: AnomalyMapper,
    weights: str,
    test: SliceDataset,
    alpha: float,
    alphas: Sequence[float],
    provenance: Mapping[str, Any],
    all_scores: bool = False,
    bootstrap_samples: int = 1000,
    device: torch.device | str = "cpu",
    amp: bool = False,
) -> UnitResult:
    """Score the test slices with trained weights; the variant's config says how.

    Args:
        mapper: network, and the score and pooling that the variant is judged by.
        weights: plain state_dict, in the folder of its training.
        test: all brain slices of the test patients.
        alpha: weight of the squared error in its slice score.
        alphas: weights at which every other pixel score is kept.
        provenance: columns of the rows.
        all_scores: write a row for every score that is kept, not for the variant's own alone.
        bootstrap_samples: resamples of the patients.
        device: where the network runs.
        amp: bfloat16 where it is safe.
    """
    load_weights(mapper, weights)
    scored = score_slices(mapper.to(device), test, device, amp=amp)
    own = own_score(mapper, alpha)
    scores = model_scores(scored, alphas, mapper, alpha)
    shown = scores if all_scores else {own: scores[own]}
    shared = {**provenance, **training_history(str(Path(weights).parent))}
    rows = [{**row, **shared} for row in model_rows(scored, test, shown, own, bootstrap_samples)]
    slices = test.facts[list(FACTS)].assign(**scores)
    return UnitResult(slices, own, rows, {})
