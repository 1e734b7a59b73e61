from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.bootstrap import patient_bootstrap
from scripts.evaluation.matched import matched_auroc
from scripts.evaluation.paired import mean_difference, mean_over_seeds
from tests.evaluation.cohort import make_cohort

COHORTS = [make_cohort(patients=6, slices=30, seed=seed) for seed in range(4)]
SLICES = COHORTS[0]


def matched(scores, rows):
    return matched_auroc(scores, SLICES.labels[rows], SLICES.levels[rows])


def slow_matched(scores, labels, levels):
    pairs = [
        (one, other)
        for one, abnormal, place in zip(scores, labels, levels, strict=True)
        for other, also_abnormal, other_place in zip(scores, labels, levels, strict=True)
        if abnormal and not also_abnormal and abs(place - other_place) <= 0.05 + 1e-6
    ]
    if not pairs:
        return None
    return sum(1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs) / len(pairs)


def slow_interval(ours, theirs, samples, seed):
    """Draw patients by hand, put their slices into new arrays, and measure these."""
    names = sorted(set(SLICES.patients))
    generator = np.random.default_rng(seed)
    results = []
    for _ in range(samples):
        drawn = [names[index] for index in generator.integers(len(names), size=len(names))]
        rows = [row for name in drawn for row, owner in enumerate(SLICES.patients) if owner == name]
        labels, levels = SLICES.labels[rows], SLICES.levels[rows]
        differences = []
        for one, other in zip(ours, theirs, strict=True):
            first, second = slow_matched(one[rows], labels, levels), slow_matched(other[rows], labels, levels)
            assert first is not None
            differences.append(first - second)
        results.append(sum(differences) / len(differences))
    return np.quantile(results, [0.025, 0.975])


def test_the_interval_is_that_of_a_slow_reference():
    ours, theirs = [one.scores for one in COHORTS[:2]], [one.scores for one in COHORTS[2:]]
    interval = patient_bootstrap(mean_difference(matched, ours, theirs), SLICES.patients, samples=25, seed=3)
    assert interval == pytest.approx(slow_interval(ours, theirs, 25, 3), abs=1e-12)
    assert interval[0] < interval[1]


def test_identical_scores_differ_by_exactly_nothing():
    scores = [one.scores for one in COHORTS[:3]]
    statistic = mean_difference(matched, scores, scores)
    assert statistic(np.arange(len(SLICES.scores))) == 0.0
    assert patient_bootstrap(statistic, SLICES.patients, samples=50) == (0.0, 0.0)


def test_a_monotone_transform_of_one_side_changes_nothing():
    ours, theirs = COHORTS[0].scores, COHORTS[1].scores
    plain = mean_difference(matched, [ours], [theirs])
    bent = mean_difference(matched, [np.exp(ours / 4)], [theirs * 3 - 7])
    assert patient_bootstrap(bent, SLICES.patients, samples=30) == patient_bootstrap(
        plain, SLICES.patients, samples=30
    )


def test_what_is_hard_for_both_does_not_widen_the_interval():
    """A shift of the whole patient moves both figures, and hardly their difference."""
    generator = np.random.default_rng(0)
    hard = {name: generator.normal(scale=3) for name in sorted(set(SLICES.patients))}
    shift = np.array([hard[name] for name in SLICES.patients]) * (SLICES.labels == 1)
    ours, theirs = SLICES.scores + shift, SLICES.scores + shift + generator.normal(scale=0.1, size=180)
    paired = patient_bootstrap(mean_difference(matched, [ours], [theirs]), SLICES.patients, samples=200)
    alone = patient_bootstrap(mean_over_seeds(matched, [ours]), SLICES.patients, samples=200)
    assert paired[1] - paired[0] < 0.3 * (alone[1] - alone[0])


def test_the_mean_over_seeds_is_the_mean_of_their_figures():
    scores = [one.scores for one in COHORTS[:3]]
    every = np.arange(len(SLICES.scores))
    expected = np.mean([matched(one, every) for one in scores])
    assert mean_over_seeds(matched, scores)(every) == pytest.approx(expected, abs=1e-15)


def test_rows_without_a_pair_are_undefined_for_both():
    scores = [SLICES.scores]
    normal = np.flatnonzero(SLICES.labels == 0)
    assert mean_difference(matched, scores, scores)(normal) is None
    assert mean_over_seeds(matched, scores)(normal) is None


@pytest.mark.parametrize("reference", [np.zeros((1, 72)), np.zeros((2, 71)), np.zeros(72)])
def test_other_slices_or_seeds_are_refused(reference):
    with pytest.raises(InputError, match=r"same trainings and slices, got \(2, 72\) and"):
        mean_difference(matched, np.zeros((2, 72)), reference)
