import io

import numpy as np
import pytest
from PIL import Image

from scripts.io.results import SliceResult
from scripts.report.slice_chart import band_at, draw_chart
from tests.report.scan_results import make_scan


def test_band_of_a_level():
    bands = make_scan().calibration.normal_range
    assert band_at(0.0, bands) is bands[0]
    assert band_at(0.1, bands) is bands[1]
    assert band_at(0.35, bands) is bands[3]
    assert band_at(1.0, bands) is None  # no normal slice is that high
    assert band_at(None, bands) is None
    assert band_at(0.5, ()) is None


def draw(slices, threshold=None, normal_range=()):
    chart = draw_chart(slices, normal_range, threshold, ("unit", "unit²"))
    return chart, np.asarray(Image.open(io.BytesIO(chart.png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("index", [0, 7, 19])
def test_places_of_slices_are_those_in_the_picture(index):
    # One slice above the threshold: its mark, and nothing else in the upper half, is vermilion.
    slices = [SliceResult(at, at / 19, 0.1, epistemic_mean=0.1, aleatoric_mean=0.2) for at in range(20)]
    slices[index].score = 0.9
    chart, picture = draw(slices, 0.5)
    upper = picture[40 : len(picture) // 2]  # below the legend
    columns = np.flatnonzero((np.abs(upper - (213, 94, 0)).max(axis=-1) < 20).any(axis=0))
    assert columns.size > 0
    assert columns.mean() / picture.shape[1] == pytest.approx(chart.left + index * chart.step, abs=0.002)


def test_range_is_drawn_where_there_is_one():
    scan = make_scan()
    _, bare = draw(scan.result.slices)
    _, ranged = draw(scan.result.slices, None, scan.calibration.normal_range)
    assert (ranged[40:] == 217).all(axis=-1).sum() > 20 * (bare[40:] == 217).all(axis=-1).sum() + 1000
