from __future__ import annotations

import numpy as np
import pytest

from scripts.errors import InputError
from scripts.evaluation.normal_range import BANDS, normal_range


def test_normal_range_by_level():
    levels = np.array([0.0, 0.05, 0.1, 0.3, 0.95, 1.0])
    bands = normal_range([1.0, 3.0, 7.0, 5.0, 10.0, 20.0], levels)
    assert len(bands) == 10
    assert [band.slices for band in bands] == [2, 1, 0, 1, 0, 0, 0, 0, 0, 2]
    assert (bands[0].low, bands[0].high, bands[0].median) == (0.0, 0.1, 2.0)
    assert bands[9].percentile_5 == pytest.approx(10.5)
    assert bands[9].percentile_95 == pytest.approx(19.5)
    assert bands[2].median is None


def test_every_slice_is_in_the_tenth_of_its_level():
    """Levels of a scan are fractions i / (n - 1); those at an edge belong to the band that it begins."""
    slices = 101
    levels = np.arange(slices) / (slices - 1)
    bands = normal_range(np.arange(slices), levels)
    tenths = [min(index // 10, BANDS - 1) for index in range(slices)]
    assert [band.slices for band in bands] == np.bincount(tenths).tolist()
    assert [band.median for band in bands] == [
        np.median(np.flatnonzero(np.array(tenths) == i)) for i in range(BANDS)
    ]


@pytest.mark.parametrize(("levels", "message"), [([0.5, 1.1], "got 1.1"), ([-0.1, 0.5], "got -0.1")])
def test_a_level_outside_the_head_is_refused(levels, message):
    with pytest.raises(InputError, match=message):
        normal_range([1.0, 2.0], levels)
