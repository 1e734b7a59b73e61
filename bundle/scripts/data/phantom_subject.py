"""One synthetic subject: a head, perhaps with a tumour, and its scans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.data.phantom_anatomy import Fractions, build_head, draw_points
from scripts.data.phantom_contrast import MODALITIES, acquire, draw_gain
from scripts.data.phantom_fields import FloatArray, Grid
from scripts.data.phantom_tumour import Tumour, draw_tumour, paint_tumour, push_away

# Streams of their own: the same head with and without tumour, the same scan whichever others are made.
_TUMOUR_STREAM = 100
_MODALITY_STREAM = 200


@dataclass(frozen=True)
class Subject:
    """One synthetic head.

    Attributes:
        grid: the scan's voxels.
        fractions: tissue fractions, each (X, Y, Z).
        brain: (X, Y, Z) brain mask.
        labels: (X, Y, Z) uint8 tumour mask in BraTS numbers.
        tumour: None in a healthy head.
    """

    grid: Grid
    fractions: Fractions
    brain: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    tumour: Tumour | None

    def facts(self) -> dict[str, Any]:
        """Return what ``cohort.json`` tells of the subject."""
        if self.tumour is None:
            return {"tumour": False, "centre_mm": None, "radius_mm": None}
        centre = [round(float(value), 2) for value in self.tumour.centre_mm]
        return {"tumour": True, "centre_mm": centre, "radius_mm": round(self.tumour.radius_mm, 2)}


def make_subject(grid: Grid, seed: int, number: int, tumour: bool) -> Subject:
    """Make the head of subject ``number`` (from 1), with or without its tumour."""
    generator = np.random.default_rng([seed, number])
    points = draw_points(grid, generator)
    if not tumour:
        fractions, brain = build_head(grid, points, generator)
        return Subject(grid, fractions, brain, np.zeros(grid.shape, np.uint8), None)
    lesion_generator = np.random.default_rng([seed, number, _TUMOUR_STREAM])
    lesion = draw_tumour(grid, points, lesion_generator)
    fractions, brain = build_head(grid, push_away(grid, points, lesion), generator)
    labels = paint_tumour(grid, fractions, brain, lesion, lesion_generator)
    return Subject(grid, fractions, brain, labels, lesion)


def make_scan(
    subject: Subject, seed: int, number: int, modality: str, skull: bool
) -> tuple[FloatArray, float]:
    """Return the subject's image in one modality, (X, Y, Z) with T1 white matter near 1, and its gain."""
    generator = np.random.default_rng([seed, number, _MODALITY_STREAM + MODALITIES.index(modality)])
    gain = draw_gain(generator)
    image = acquire(subject.grid, subject.fractions, modality, generator)
    return (image if skull else image * subject.brain), gain
