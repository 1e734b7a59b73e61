from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scripts.errors import InputError
from scripts.evaluation.detection import auroc, average_precision, undefined_reason

SCORED = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 1)), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


def slow_auroc(scores: list[float], labels: list[int]) -> float:
    wins, pairs = 0.0, 0
    for score, label in zip(scores, labels, strict=True):
        for other, other_label in zip(scores, labels, strict=True):
            if label == 1 and other_label == 0:
                pairs += 1
                wins += 1.0 if score > other else 0.5 if score == other else 0.0
    return wins / pairs


def slow_average_precision(scores: list[float], labels: list[int], balanced: bool) -> float:
    normal = labels.count(0)
    abnormal = labels.count(1)
    weight = {0: 1 / normal, 1: 1 / abnormal} if balanced else {0: 1.0, 1: 1.0}
    total, found = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        marked = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        new = marked.count(1) - found
        found = marked.count(1)
        precision = weight[1] * found / (weight[1] * found + weight[0] * marked.count(0))
        total += precision * new / abnormal
    return total


@settings(deadline=None)
@given(SCORED)
def test_auroc_equals_a_loop_over_pairs(pairs):
    scores, labels = (list(column) for column in zip(*pairs, strict=True))
    assert auroc(scores, labels) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@settings(deadline=None)
@given(SCORED, st.booleans())
def test_average_precision_equals_a_loop_over_thresholds(pairs, balanced):
    scores, labels = (list(column) for column in zip(*pairs, strict=True))
    expected = slow_average_precision(scores, labels, balanced)
    assert average_precision(scores, labels, balanced) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(SCORED)
def test_increasing_transform_of_the_scores_changes_nothing(pairs):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    for metric in (auroc, average_precision):
        assert metric(scores**3 / 7.0 + 5, labels) == metric(scores, labels)


@settings(deadline=None)
@given(SCORED)
def test_flipping_the_scores_gives_the_complement(pairs):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-12)


@settings(deadline=None)
@given(SCORED, st.integers(2, 5))
def test_balanced_figures_ignore_how_many_normal_ones_there_are(pairs, copies):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    times = np.where(labels == 0, copies, 1)
    more_scores, more_labels = np.repeat(scores, times), np.repeat(labels, times)
    assert auroc(more_scores, more_labels) == pytest.approx(auroc(scores, labels), abs=1e-12)
    assert average_precision(more_scores, more_labels, balanced=True) == pytest.approx(
        average_precision(scores, labels, balanced=True), abs=1e-12
    )


def test_balanced_average_precision_is_what_drawn_balanced_tests_show_on_average():
    generator = np.random.default_rng(0)
    labels = (np.arange(3000) % 6 == 0).astype(int)
    scores = generator.normal(labels * 1.0)
    normal, abnormal = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    drawn = [
        average_precision(scores[rows], labels[rows])
        for rows in (
            np.concatenate([abnormal, generator.choice(normal, abnormal.size, replace=False)])
            for _ in range(50)
        )
    ]
    assert average_precision(scores, labels, balanced=True) == pytest.approx(np.mean(drawn), abs=0.005)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([1, 1, 1], "no normal one among 3"),
        ([0, 0], "no abnormal one among 2"),
        ([], "no normal one among 0"),
    ],
)
def test_a_missing_class_gives_none_and_a_reason(labels, reason):
    scores = np.arange(len(labels))
    assert auroc(scores, labels) is None
    assert average_precision(scores, labels, balanced=True) is None
    assert undefined_reason(labels) == reason


@pytest.mark.parametrize("metric", [auroc, average_precision])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, np.nan], [0, 1], "scores to be finite, got 1 NaN or infinite of 2, the first at index 1"),
        ([1.0, 2.0], [0, 1, 1], "one label per score"),
        ([1.0, 2.0], [0, -1], "labels 0 or 1, got -1"),
        ([[1.0, 2.0]], [[0, 1]], "one-dimensional"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(metric, scores, labels, message):
    with pytest.raises(InputError, match=message):
        metric(scores, labels)
