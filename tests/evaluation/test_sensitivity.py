from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from scripts.errors import InputError
from scripts.evaluation.sensitivity import false_alarm_rate, threshold_at_sensitivity

LABELLED = st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 1)), min_size=1, max_size=40)


@settings(deadline=None)
@given(LABELLED, st.sampled_from([0.5, 0.8, 0.95]))
def test_equals_the_roc_curve_of_sklearn(pairs, sensitivity):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    rate = false_alarm_rate(scores, labels, sensitivity)
    if len(set(labels)) < 2:
        assert rate is None
        return
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert rate == pytest.approx(false[true >= sensitivity - 1e-9].min())


@settings(deadline=None)
@given(LABELLED, st.randoms(use_true_random=False))
def test_order_and_increasing_transforms_change_nothing(pairs, random):
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    rate = false_alarm_rate(scores, labels)
    assert false_alarm_rate(scores**3 + 2.0, labels) == rate
    scores, labels = zip(*random.sample(pairs, len(pairs)), strict=True)
    assert false_alarm_rate(scores, labels) == rate


def test_threshold_finds_enough_and_is_the_highest():
    abnormal = np.arange(1, 21)
    threshold = threshold_at_sensitivity(abnormal, 0.95)
    assert (abnormal >= threshold).mean() == 0.95
    assert (abnormal >= threshold + 0.5).mean() < 0.95


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="sensitivity to lie strictly between 0 and 1, got 1"):
        false_alarm_rate([0, 1], [0, 1], 1.0)
    with pytest.raises(InputError, match="one label per score"):
        false_alarm_rate([0, 1], [0])
