"""Anomaly scores from the evidence of one member or of an ensemble (arXiv 2410.12328, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from scripts.latent.evidence import Evidence
from scripts.options import Option

Array = NDArray[np.float64]


class LatentScore(Option):
    """What makes an image abnormal; higher is more abnormal."""

    LATENT_DIVERGENCE = "latent_divergence"
    """Far from every class's Gaussian: minus the largest log confidence, half a squared Mahalanobis distance.
    The paper's score is 1 - max confidence, which ranks alike as long as confidences do not underflow."""
    PRIOR_DIVERGENCE = "prior_divergence"
    """KL from q(z | x) to the nearest prior, nats: what training drew to 0."""
    RECONSTRUCTION_ERROR = "reconstruction_error"
    """Mean square error of the pixels, intensity^2: the plain VAE's score."""
    COMBINED = "combined"
    """Sum of the three, each standardised by mean and deviation of its logarithm on validation inliers."""


class Merge(Option):
    """Where the members of an ensemble meet."""

    CLASSES = "classes"
    """Per class, before the best class is taken: members have to agree on the class."""
    SCORES = "scores"
    """After it: each member takes its own best class."""


class Average(Option):
    """The mean of the members' confidences."""

    ARITHMETIC = "arithmetic"
    """The paper's: one member that knows the image makes it normal."""
    GEOMETRIC = "geometric"
    """The mean of the log confidences: one member that does not know the image makes it abnormal."""


_LEAST_DEVIATION = 1e-9
_PARTS = (LatentScore.LATENT_DIVERGENCE, LatentScore.PRIOR_DIVERGENCE, LatentScore.RECONSTRUCTION_ERROR)


def anomaly_scores(
    members: Sequence[Evidence],
    score: str,
    validation: Sequence[Evidence] = (),
    merge: str = Merge.CLASSES,
    average: str = Average.GEOMETRIC,
) -> Array:
    """Return the score (N,) of N images from the evidence of each member.

    Args:
        members: what each member says of the images; members share the order of the classes.
        score: a :class:`LatentScore`.
        validation: what each member says of the validation inliers, for ``combined``.
        merge: a :class:`Merge`.
        average: an :class:`Average`; for the KL and the error it is always their mean.

    Raises:
        ValueError: ``combined`` without validation evidence of every member.
    """
    score, merge, average = LatentScore(score), Merge(merge), Average(average)
    if score is not LatentScore.COMBINED:
        return _single_score(members, score, merge, average)
    if len(validation) != len(members):
        raise ValueError(f"Expected validation evidence of {len(members)} members, got {len(validation)}.")
    total = np.zeros(len(members[0].reconstruction_errors))
    for part in _PARTS:
        known = _log(_single_score(validation, part, merge, average))
        # What is the same for all inliers (a network that learned nothing) says nothing.
        if known.std() > _LEAST_DEVIATION:
            total += (_log(_single_score(members, part, merge, average)) - known.mean()) / known.std()
    return total


def class_log_confidences(members: Sequence[Evidence], average: str = Average.GEOMETRIC) -> Array:
    """Return the ensemble's log confidence (N, classes) that an image belongs to each class."""
    stacked = np.stack([member.log_confidences for member in members])
    if Average(average) is Average.GEOMETRIC:
        return stacked.mean(axis=0)
    return logsumexp(stacked, axis=0) - np.log(len(members))


def _single_score(members: Sequence[Evidence], score: LatentScore, merge: Merge, average: Average) -> Array:
    if score is LatentScore.RECONSTRUCTION_ERROR:
        return np.mean([member.reconstruction_errors for member in members], axis=0)
    if score is LatentScore.PRIOR_DIVERGENCE:
        divergences = np.stack([member.prior_divergences for member in members])
        if merge is Merge.CLASSES:
            return divergences.mean(axis=0).min(axis=1)
        return divergences.min(axis=2).mean(axis=0)
    if merge is Merge.CLASSES:
        return -class_log_confidences(members, average).max(axis=1)
    best = np.stack([member.log_confidences.max(axis=1) for member in members])
    return -best.mean(axis=0) if average is Average.GEOMETRIC else np.log(len(best)) - logsumexp(best, axis=0)


def _log(values: Array) -> Array:
    # All three are above 0 but for an image exactly at a mean; the floor keeps that one finite.
    return np.log(np.maximum(values, 1e-12))
