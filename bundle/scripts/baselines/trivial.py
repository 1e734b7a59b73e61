"""Baselines without a model: what a score reaches that looks at no more than one plain property.

Intensities of several channels are averaged first, so one-modality data are unchanged; a pixel is
foreground where any channel is above 0. A new baseline is one class and one line in
:class:`TrivialBaseline`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label as label_components
from scipy.ndimage import uniform_filter
from tqdm import tqdm

from scripts.baselines.baseline import Baseline, Images, Scores, check_slices
from scripts.errors import InputError
from scripts.evaluation.checks import check_fraction
from scripts.evaluation.quantiles import StreamingQuantile

Plane = NDArray[np.float32]
Kind = TypeVar("Kind", bound=Baseline)


class TrivialBaseline(StrEnum):
    """Trivial baselines by the name that they have in configs and in the results table."""

    POSITION = "position"
    """Distance from the middle of the brain's extent, no image."""
    BRAIN_AREA = "brain_area"
    """Foreground share of the field of view."""
    MEAN_INTENSITY = "mean_intensity"
    """Mean of the foreground."""
    PERCENTILE_INTENSITY = "percentile_intensity"
    """99th percentile of the foreground."""
    ASYMMETRY = "asymmetry"
    """Mean difference between left and right."""
    BRIGHTEST_PATCH = "brightest_patch"
    """Highest 5 x 5 mean."""
    BRIGHT_COMPONENT = "bright_component"
    """Area of the largest component above a quantile of normal tissue."""


_CLASSES: dict[TrivialBaseline, type[Baseline]] = {}


def _named(name: TrivialBaseline) -> Callable[[type[Kind]], type[Kind]]:
    """Register the decorated class under ``name``."""

    def register(kind: type[Kind]) -> type[Kind]:
        _CLASSES[name] = kind
        return kind

    return register


class PlaneBaseline(ABC):
    """A property of a single slice, without anything to learn: subclasses hold only the formula."""

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Check the slices; there is nothing to learn."""
        check_slices(images, facts)

    def score(self, images: Images, facts: pd.DataFrame) -> Scores:
        """Return (N,) scores of the slices (N, C, X, Y), higher is more abnormal."""
        check_slices(images, facts)
        return np.array([self.score_plane(image.mean(axis=0)) for image in images], dtype=np.float64)

    @abstractmethod
    def score_plane(self, plane: Plane) -> float:
        """Return the score of one (X, Y) slice, background 0."""


@_named(TrivialBaseline.POSITION)
class Position:
    """Minus the distance from the middle of the brain's extent; in [-0.5, 0], without the image."""

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Check the slices; there is nothing to learn."""
        check_slices(images, facts)

    def score(self, images: Images, facts: pd.DataFrame) -> Scores:
        """Return (N,) scores from the levels (0 to 1) in ``facts``."""
        check_slices(images, facts)
        return -np.abs(facts["level"].to_numpy(dtype=np.float64) - 0.5)


@_named(TrivialBaseline.BRAIN_AREA)
class BrainArea(PlaneBaseline):
    """Share of the field of view that is foreground."""

    def score_plane(self, plane: Plane) -> float:
        """Return the share of pixels above 0."""
        return float(np.count_nonzero(plane > 0) / plane.size)


@_named(TrivialBaseline.MEAN_INTENSITY)
class MeanIntensity(PlaneBaseline):
    """Mean of the foreground; 0 without one."""

    def score_plane(self, plane: Plane) -> float:
        """Return the mean over pixels above 0."""
        inside = plane[plane > 0]
        return float(inside.mean(dtype=np.float64)) if inside.size else 0.0


@_named(TrivialBaseline.PERCENTILE_INTENSITY)
class PercentileIntensity(PlaneBaseline):
    """99th percentile of the foreground; 0 without one."""

    def score_plane(self, plane: Plane) -> float:
        """Return the percentile over pixels above 0."""
        inside = plane[plane > 0]
        return float(np.percentile(inside, 99)) if inside.size else 0.0


@_named(TrivialBaseline.ASYMMETRY)
class Asymmetry(PlaneBaseline):
    """Mean difference between the slice and its mirror image, left to right (first in-plane axis).

    The mirror stands at the centroid of the slice's own foreground, to half a pixel. The mean is over
    pixels that are foreground in either.
    """

    def score_plane(self, plane: Plane) -> float:
        """Return the mean absolute difference, 0 without foreground."""
        mirrored = mirror(plane)
        union = (plane > 0) | (mirrored > 0)
        return float(np.abs(plane - mirrored)[union].mean(dtype=np.float64)) if union.any() else 0.0


@_named(TrivialBaseline.BRIGHTEST_PATCH)
class BrightestPatch(PlaneBaseline):
    """Highest mean of a 5 x 5 patch; what lies outside the slice is 0."""

    def score_plane(self, plane: Plane) -> float:
        """Return the maximum of the 5 x 5 means."""
        return float(uniform_filter(plane.astype(np.float64), size=5, mode="constant").max())


@_named(TrivialBaseline.BRIGHT_COMPONENT)
class BrightComponent(PlaneBaseline):
    """Area of the largest connected component brighter than nearly all normal tissue, in pixels.

    Args:
        quantile: share of the normal training foreground that the threshold lies above.
    """

    def __init__(self, quantile: float = 0.98) -> None:
        self.quantile = check_fraction(quantile, "quantile")
        self.threshold: float | None = None

    def fit(self, images: Images, facts: pd.DataFrame) -> None:
        """Take the threshold from the foreground of the slices of label 0.

        Raises:
            InputError: no such slice, or none with foreground.
        """
        check_slices(images, facts)
        foreground = StreamingQuantile()
        for index in np.flatnonzero(facts["label"].to_numpy() == 0):
            plane = images[index].mean(axis=0)
            foreground.add(plane[plane > 0])
        if foreground.count == 0:
            raise InputError(
                "Expected normal training slices to take a threshold from, got none; check the split."
            )
        self.threshold = foreground.quantile(self.quantile)

    def score_plane(self, plane: Plane) -> float:
        """Return the area of the largest component (sides touch) above the threshold, 0 without one."""
        if self.threshold is None:
            raise InputError("Expected a fitted baseline, got one without a threshold; call fit first.")
        components, count = label_components(plane > self.threshold)
        return float(np.bincount(components.ravel())[1:].max()) if count else 0.0


def make_baseline(name: str) -> Baseline:
    """Return a new, unfitted baseline.

    Args:
        name: a value of :class:`TrivialBaseline`.

    Raises:
        InputError: there is no such baseline.
    """
    if name not in set(TrivialBaseline):
        raise InputError(f"Expected a trivial baseline of {', '.join(TrivialBaseline)}, got {name!r}.")
    return _CLASSES[TrivialBaseline(name)]()


def trivial_scores(
    images: Images, facts: pd.DataFrame, train_images: Images, train_facts: pd.DataFrame
) -> dict[str, Scores]:
    """Fit every trivial baseline on the training slices and score the others.

    Args:
        images: (N, C, X, Y) slices to score.
        facts: their N rows of slice facts.
        train_images: (M, C, X, Y) training slices.
        train_facts: their M rows; rows of label 0 are learned from.

    Returns:
        For the value of each :class:`TrivialBaseline` (N,) scores, higher is more abnormal.
    """
    scores = {}
    for name in tqdm(TrivialBaseline, desc="trivial baselines", disable=None):
        baseline = make_baseline(name)
        baseline.fit(train_images, train_facts)
        scores[name.value] = baseline.score(images, facts)
    return scores


def mirror(plane: Plane, head: Plane | None = None) -> Plane:
    """Return a (X, Y) slice mirrored along X at the centroid of the head, to half a pixel.

    What comes from outside the slice is 0; without foreground the mirror stands at the slice's middle.

    Args:
        plane: the slice, or anything on its grid.
        head: (X, Y) slice whose foreground tells where the mirror stands; None takes ``plane``.
    """
    size = plane.shape[0]
    columns = np.count_nonzero((plane if head is None else head) > 0, axis=1)
    total = columns.sum()
    twice_midline = round(2 * float(columns @ np.arange(size)) / total) if total else size - 1
    source = twice_midline - np.arange(size)
    inside = (source >= 0) & (source < size)
    mirrored = np.zeros_like(plane)
    mirrored[inside] = plane[source[inside]]
    return mirrored
