from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.errors import InputError
from scripts.evaluation.quantiles import StreamingQuantile

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60)


@settings(deadline=None, max_examples=60)
@given(NUMBERS, st.floats(0.01, 0.99))
def test_lies_within_a_bin_above_the_exact_quantile(values, quantile):
    streaming = StreamingQuantile()
    for piece in np.array_split(np.array(values, dtype=np.float32), 3):
        streaming.add(piece)
    exact = float(np.quantile(np.array(values, dtype=np.float32), quantile, method="higher"))
    found = streaming.quantile(quantile)
    assert streaming.count == len(values)
    assert exact <= found <= exact + abs(exact) * 2**-11 + 1e-37
    assert np.mean(np.array(values, dtype=np.float32) > found) <= 1 - quantile + 1e-12


def test_order_of_the_pieces_changes_nothing():
    values = np.random.default_rng(0).lognormal(size=5000).astype(np.float32)
    forward, backward = StreamingQuantile(), StreamingQuantile()
    forward.add(values.reshape(50, 100))
    for piece in np.array_split(values[::-1], 7):
        backward.add(piece)
    assert forward.quantile(0.99) == backward.quantile(0.99)


def test_zeros_of_either_sign_are_zero():
    streaming = StreamingQuantile()
    streaming.add(np.array([-0.0, 0.0, -0.0]))
    assert streaming.quantile(0.5) == 0.0


def test_memory_does_not_grow_with_the_pixels():
    streaming = StreamingQuantile()
    piece = np.random.default_rng(0).random(100_000, dtype=np.float32)
    streaming.add(piece)
    tracemalloc.start()
    for _ in range(10):
        streaming.add(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert streaming.count == 1_100_000


def test_nothing_seen_and_not_finite_are_refused():
    streaming = StreamingQuantile()
    streaming.add([])
    with pytest.raises(InputError, match="at least one pixel"):
        streaming.quantile(0.5)
    with pytest.raises(InputError, match="finite pixel values"):
        streaming.add([1.0, np.inf])
    with pytest.raises(InputError, match="quantile to lie strictly between 0 and 1, got 1"):
        streaming.quantile(1)
