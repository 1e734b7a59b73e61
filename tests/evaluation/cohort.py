"""A small cohort of slices with everything the tables ask for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Cohort(NamedTuple):
    """(N,) each; see :func:`make_cohort`."""

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    levels: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    patients: NDArray[np.str_]
    areas: NDArray[np.float64]

    def permuted(self, seed: int) -> Cohort:
        """Return the slices in another order."""
        order = np.random.default_rng(seed).permutation(len(self.scores))
        return Cohort(*(column[order] for column in self))


def make_cohort(patients: int = 7, slices: int = 20, seed: int = 0, steps: float = 8.0) -> Cohort:
    """Return slices whose larger lesions score higher and whose uncertain ones are noisier; with ties."""
    generator = np.random.default_rng(seed)
    count = patients * slices
    levels = np.tile(np.linspace(0, 1, slices), patients)
    labels = (np.abs(levels - 0.5) < generator.uniform(0.1, 0.3, count)).astype(np.int64)
    areas = np.where(labels == 1, generator.uniform(50, 4000, count), 0.0)
    uncertainty = np.round(generator.gamma(2.0, size=count), 2)
    scores = areas / 2000 + generator.normal(size=count) * (0.2 + uncertainty / 3)
    people = np.repeat([f"p{index}" for index in range(patients)], slices)
    return Cohort(np.round(scores * steps) / steps, labels, levels, uncertainty, people, areas)
