"""How often each training slice is drawn, by its level in the head.

Lesion-free slices are mostly neck, skull base and vertex: a scan with a lesion gives few others. Drawn as
they come, they would teach a network little about the levels at which lesions are.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.data import DistributedSampler, DistributedWeightedRandomSampler
from torch.utils.data import RandomSampler, Sampler, WeightedRandomSampler

from scripts.data.slices import SliceDataset
from scripts.errors import InputError

LEVELS = 10
"""Equal parts of a head, from the lowest brain slice to the highest, that slices are counted in."""


def level_weights(levels: np.ndarray, evenness: float) -> torch.Tensor:
    """Return how often each slice is drawn in parts of all draws.

    Args:
        levels: (N,) of the slices, in [0, 1].
        evenness: 0 draws all slices alike, 1 all tenths of the head that have slices; in between, a tenth
            with n slices is drawn in proportion to n ** (1 - evenness).

    Returns:
        (N,) float64, of sum 1.

    Raises:
        InputError: evenness is not in [0, 1].
    """
    if not 0 <= evenness <= 1:
        raise InputError(f"Expected an evenness of levels from 0 to 1, got {evenness}.")
    tenths = np.minimum((np.asarray(levels) * LEVELS).astype(int), LEVELS - 1)
    weights = np.bincount(tenths)[tenths].astype(float) ** -evenness
    return torch.from_numpy(weights / weights.sum())


def make_level_sampler(
    dataset: SliceDataset,
    evenness: float,
    generator: torch.Generator,
    distributed: bool = False,
    seed: int = 0,
) -> Sampler[int]:
    """Return the sampler of a training: every slice once an epoch, or as many draws by level, with repeats.

    Args:
        dataset: training slices.
        evenness: see :func:`level_weights`; 0 shows every slice once.
        generator: source of the draws; not of those of ``distributed`` with ``evenness`` 0.
        distributed: each process of a group draws from its share of the slices.
        seed: of the order in which processes share slices out when ``evenness`` is 0.
    """
    weights = level_weights(dataset.facts["level"].to_numpy(), evenness)
    if distributed and evenness:
        return DistributedWeightedRandomSampler(
            dataset, weights=weights.tolist(), generator=generator, shuffle=False
        )
    if distributed:
        return DistributedSampler(dataset, shuffle=True, seed=seed)
    if evenness:
        return WeightedRandomSampler(weights.tolist(), len(dataset), generator=generator)
    return RandomSampler(dataset, generator=generator)
