"""How often slices are drawn, by their level."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import RandomSampler

from scripts.data.levels import LEVELS, level_weights, make_level_sampler
from scripts.errors import InputError

SLICES = np.array([0.0] * 60 + [0.05] * 20 + [0.5] * 15 + [1.0] * 5)


def share_by_tenth(weights: np.ndarray) -> np.ndarray:
    tenths = np.minimum((SLICES * LEVELS).astype(int), LEVELS - 1)
    return np.bincount(tenths, weights, minlength=LEVELS)


def sampler_of(evenness: float, **arguments) -> torch.utils.data.Sampler:
    dataset = torch.utils.data.Subset(range(len(SLICES)), range(len(SLICES)))
    dataset.facts = pd.DataFrame({"level": SLICES})
    generator = torch.Generator().manual_seed(0)
    return make_level_sampler(dataset, evenness, generator, **arguments)


@pytest.mark.parametrize("evenness", [0.0, 0.5, 1.0])
def test_a_tenth_is_drawn_by_the_power_of_its_slices(evenness: float) -> None:
    shares = share_by_tenth(level_weights(SLICES, evenness).numpy())
    expected = np.array([80.0, 15.0, 5.0]) ** (1 - evenness)
    np.testing.assert_allclose(shares[[0, 5, 9]], expected / expected.sum())
    assert shares.sum() == pytest.approx(1)


def test_draws_follow_the_weights_and_the_generator() -> None:
    sampler = sampler_of(1.0)
    drawn = np.concatenate([list(sampler) for _ in range(100)])
    assert len(sampler) == len(SLICES)
    counts = np.bincount(drawn, minlength=len(SLICES)) / len(drawn)
    np.testing.assert_allclose(share_by_tenth(counts)[[0, 5, 9]], 1 / 3, atol=0.02)
    assert list(sampler_of(1.0)) == list(sampler_of(1.0))


def test_without_evenness_every_slice_comes_once() -> None:
    sampler = sampler_of(0.0)
    assert isinstance(sampler, RandomSampler)
    assert sorted(sampler) == list(range(len(SLICES)))


@pytest.mark.parametrize("evenness", [-0.1, 1.5])
def test_other_values_are_refused(evenness: float) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        level_weights(SLICES, evenness)
