from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.pixel import pixel_average_precision


def test_only_foreground_counts_and_the_value_is_known():
    maps = np.array([[[4.0, 3.0], [2.0, 9.0]]], dtype=np.float32)
    masks = np.array([[[1, 0], [1, 0]]])
    foreground = np.array([[[1, 1], [1, 0]]])
    result = pixel_average_precision(maps, masks, foreground)
    assert result.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert result.prevalence == pytest.approx(2 / 3)


def test_a_constant_map_scores_the_prevalence():
    masks = np.zeros((3, 8, 8))
    masks[0, :4, :4] = 1
    result = pixel_average_precision(np.ones((3, 8, 8)), masks, np.ones((3, 8, 8), dtype=bool))
    assert result.average_precision == pytest.approx(result.prevalence) == pytest.approx(16 / 192)


def test_slices_may_come_in_any_order():
    generator = np.random.default_rng(0)
    maps, masks = generator.random((6, 9, 9)), generator.random((6, 9, 9)) > 0.8
    foreground = generator.random((6, 9, 9)) > 0.3
    order = generator.permutation(6)
    shuffled = pixel_average_precision(maps[order], masks[order], foreground[order])
    assert shuffled == pytest.approx(pixel_average_precision(maps, masks, foreground))


def test_no_lesion_pixel_gives_none():
    masks = np.zeros((2, 4, 4))
    masks[0, 0, 0] = 1
    foreground = np.ones((2, 4, 4))
    foreground[0, 0, 0] = 0
    assert pixel_average_precision(np.ones((2, 4, 4)), masks, foreground) == (None, 0.0)


def test_wrong_input_is_refused_with_its_reason():
    ones = np.ones((2, 4, 4))
    with pytest.raises(InputError, match="one shape"):
        pixel_average_precision(ones, ones[:1], ones)
    with pytest.raises(InputError, match="some foreground"):
        pixel_average_precision(ones, ones, 0 * ones)
    with pytest.raises(InputError, match="finite map values"):
        pixel_average_precision(np.nan * ones, ones, ones)
    assert pixel_average_precision(np.where(ones > 0, 1, np.nan), ones, ones).average_precision == 1.0
