from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import InputError
from scripts.evaluation.detection import auroc
from scripts.evaluation.matched import ROUNDING, count_below, matched_auroc

SLICE = st.tuples(st.integers(-9, 9), st.integers(0, 1), st.integers(0, 20))
SLICES = st.lists(SLICE, min_size=1, max_size=40)


def slow_matched(scores, labels, levels, tolerance):
    wins, pairs = 0.0, 0
    for score, label, level in zip(scores, labels, levels, strict=True):
        for other, other_label, other_level in zip(scores, labels, levels, strict=True):
            if label == 1 and other_label == 0 and abs(level - other_level) <= tolerance + ROUNDING:
                pairs += 1
                wins += 1.0 if score > other else 0.5 if score == other else 0.0
    return wins / pairs if pairs else None


def columns(slices):
    scores, labels, steps = (np.array(column) for column in zip(*slices, strict=True))
    return scores, labels, steps / 20


@settings(deadline=None, max_examples=300)
@given(SLICES, st.sampled_from([0.0, 0.05, 0.13, 1.0]))
def test_equals_a_double_loop(slices, tolerance):
    scores, labels, levels = columns(slices)
    expected = slow_matched(scores, labels, levels, tolerance)
    given_value = matched_auroc(scores, labels, levels, tolerance)
    assert given_value == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_equals_a_double_loop_on_ties_and_random_levels():
    generator = np.random.default_rng(3)
    for size in (64, 65, 257):
        scores = generator.integers(0, 40, size) / 8
        labels, levels = generator.integers(0, 2, size), generator.random(size)
        expected = slow_matched(scores, labels, levels, 0.05)
        assert matched_auroc(scores, labels, levels) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(SLICES, st.floats(0, 1))
def test_is_the_plain_auroc_when_all_levels_are_equal(slices, level):
    scores, labels, _ = columns(slices)
    plain = auroc(scores, labels)
    matched = matched_auroc(scores, labels, np.full(len(scores), level))
    assert matched == (None if plain is None else pytest.approx(plain, abs=1e-12))


@settings(deadline=None)
@given(SLICES, st.randoms(use_true_random=False))
def test_order_and_increasing_transforms_change_nothing(slices, random):
    scores, labels, levels = columns(slices)
    expected = matched_auroc(scores, labels, levels)
    assert matched_auroc(scores**3 + 2.0, labels, levels) == expected
    shuffled = columns(random.sample(slices, len(slices)))
    assert matched_auroc(*shuffled) == expected


def test_levels_alone_cannot_score_when_only_equal_levels_pair():
    levels = np.tile(np.linspace(0, 1, 41), 2)
    labels = np.repeat([0, 1], 41)
    assert matched_auroc(-np.abs(levels - 0.5), labels, levels, tolerance=0) == 0.5


@pytest.mark.parametrize("step", range(20))
def test_border_of_the_tolerance_counts_whatever_the_rounding(step):
    # (step + 1) / 20 - step / 20 is 0.05 up to a rounding error of either sign.
    assert matched_auroc([1, 0], [1, 0], [(step + 1) / 20, step / 20]) == 1.0
    assert matched_auroc([1, 0], [1, 0], [step / 20, (step + 1) / 20]) == 1.0
    assert matched_auroc([1, 0], [1, 0], [step / 20, (step + 1.01) / 20]) is None


def test_time_and_memory_stay_small_for_many_slices():
    generator = np.random.default_rng(0)
    size = 100_000
    labels = generator.integers(0, 2, size)
    scores = generator.normal(labels).astype(np.float32)
    tracemalloc.start()
    begin = time.perf_counter()
    value = matched_auroc(scores, labels, generator.random(size))
    seconds = time.perf_counter() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert value == pytest.approx(0.760, abs=0.01)  # Phi(1 / sqrt(2)): the levels say nothing here
    assert peak < 50e6  # the 250 million pairs would need 2 GB
    assert seconds < 5


@settings(deadline=None)
@given(st.data(), st.integers(1, 33))
def test_count_below_equals_counting(data, size):
    ranks = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size)))
    queries = data.draw(
        st.lists(st.tuples(st.integers(0, size), st.integers(0, size), st.integers(0, size)), min_size=1)
    )
    first, stop, bound = (np.array(column) for column in zip(*queries, strict=True))
    first, stop = np.minimum(first, stop), np.maximum(first, stop)
    expected = [(ranks[a:b] < c).sum() for a, b, c in zip(first, stop, bound, strict=True)]
    assert count_below(ranks, first, stop, bound).tolist() == expected


def test_a_level_per_score_is_demanded():
    with pytest.raises(InputError, match="one level per score, got 2 scores and 3 levels"):
        matched_auroc([0, 1], [0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="levels to be finite"):
        matched_auroc([0, 1], [0, 1], [0.1, np.nan])
