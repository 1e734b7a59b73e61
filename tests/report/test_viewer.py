import io

import numpy as np
import pytest
from PIL import Image

from scripts.report.panels import PANELS, head_box
from scripts.report.sprites import COLUMNS
from scripts.report.viewer import make_viewer, shown_slices
from tests.report.scan_results import SCORED, make_scan


@pytest.fixture(scope="module")
def scan():
    return make_scan()


def viewer_of(scan, **changes):
    scores = [one.score for one in scan.result.slices]
    volumes = {"scan": scan.image, **scan.maps} | changes
    return make_viewer(volumes, scores, 2.0, {"anomaly": "its unit"}, 4.0)


def test_viewer_shows_scored_slices_of_every_map_alike(scan):
    viewer = viewer_of(scan)
    assert list(viewer.indices) == list(SCORED)
    assert [panel.name for panel in viewer.panels] == [
        name for name in PANELS if name in ("scan", *scan.maps)
    ]
    rows, columns = head_box([scan.image[:, ::-1, index].T for index in SCORED])
    assert (viewer.height, viewer.width) == (rows.stop - rows.start, columns.stop - columns.start)
    assert viewer.width_mm == 2 * viewer.width
    units = {panel.name: panel.unit for panel in viewer.panels}
    assert (units["anomaly"], units["epistemic"]) == ("its unit", PANELS["epistemic"].unit)
    for panel in viewer.panels:
        size = Image.open(io.BytesIO(panel.sprite)).size
        assert size == (COLUMNS * viewer.width, viewer.rows * viewer.height)


def test_windows_begin_at_zero_and_scan_and_reconstruction_share_theirs(scan):
    panels = {panel.name: panel for panel in viewer_of(scan).panels}
    shown = scan.image[:, :, list(SCORED)]
    assert panels["scan"].high == pytest.approx(np.percentile(shown[shown != 0], 99.5))
    assert (panels["reconstruction"].low, panels["reconstruction"].high) == (0, panels["scan"].high)
    assert panels["epistemic"].high == pytest.approx(1e-4 * panels["scan"].high, rel=1e-5)
    assert {panel.name: panel.mark for panel in panels.values() if panel.mark} == {
        "anomaly": pytest.approx(0.8)
    }


def test_each_slice_has_the_outline_of_its_own_mask(scan):
    outlines = viewer_of(scan).outlines
    assert len(set(outlines)) == len(outlines) == len(SCORED)
    maps = {name: volume for name, volume in scan.maps.items() if name != "mask"}
    without = make_viewer({"scan": scan.image, **maps}, [1.0] * scan.image.shape[2], 2.0, {}, None)
    assert set(without.outlines) == {""}


@pytest.mark.parametrize("most", [1, 3, 7, 20, 40])
def test_too_many_slices_leave_the_highest_of_their_neighbours(most):
    scores = [None, *np.random.default_rng(0).permutation(20).astype(float), None]
    shown = shown_slices(scores, most)
    assert shown == sorted(shown)
    assert len(shown) <= most
    assert 1 + int(np.argmax(scores[1:-1])) in shown
    if most >= 20:
        assert shown == list(range(1, 21))


def test_without_scores_the_middle_is_shown():
    assert shown_slices([None] * 9) == [4]
