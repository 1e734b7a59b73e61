import os
from unittest import mock

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from scripts.errors import InputError
from scripts.report import overview
from scripts.report.overview import CONVENTION, RESEARCH, SYNTHETIC, plot_overview, select_slices
from scripts.report.panels import PANELS, axial_plane, colour_scales, head_box

SHAPE = (30, 36, 8)
SCORES = [None, 0.1, 0.2, 0.9, 0.8, 0.3, 0.7, None]


def make_volumes():
    generator = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    head = (x**2 + y**2 < 0.7)[..., None] * np.ones(SHAPE, np.float32)
    image = (head * generator.uniform(0.3, 1, SHAPE)).astype(np.float32)
    scale = {"epistemic": 1e-4, "aleatoric": 1e-2}
    maps = {name: image * scale.get(name, 1) for name in PANELS if name not in ("scan", "total_uncertainty")}
    return image, maps | {"mask": (image > 0.9).astype(np.uint8)}


def draw(folder, **changes):
    """Draw an overview with some arguments changed; return the figure and the path."""
    kept = []

    class KeepingCanvas(FigureCanvasAgg):
        def __init__(self, figure):
            kept.append(figure)
            super().__init__(figure)

    image, maps = make_volumes()
    arguments = {
        "image": image,
        "maps": maps,
        "slice_scores": SCORES,
        "slice_threshold": 0.5,
        "path": folder / "out" / "case_overview.png",
        "title": "case $1_a: 50 $",
        "units": {"reconstruction": "scanner units"},
    }
    with mock.patch.object(overview, "FigureCanvasAgg", KeepingCanvas):
        path = plot_overview(**(arguments | changes))
    return kept[0], path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("overview"))


def texts_of(part):
    return [text.get_text() for text in part.findobj(Text)]


def test_png_is_written_and_nothing_else(drawn):
    _, path = drawn
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size[0] > 800
        assert np.asarray(picture).std() > 20
    assert os.listdir(path.parent) == ["case_overview.png"]
    assert path.stat().st_size < 1e6
    assert plt.get_fignums() == []


def test_the_same_scan_gives_the_same_bytes(tmp_path):
    maps = {"anomaly": make_volumes()[0]}
    first, second = (draw(tmp_path / name, maps=maps, rows=1)[1] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("synthetic", [False, True])
def test_footer(tmp_path, synthetic):
    figure, _ = draw(tmp_path, maps={}, rows=1, synthetic=synthetic)
    texts = texts_of(figure)
    assert f"{RESEARCH}  {CONVENTION}" in texts
    assert (SYNTHETIC in texts) is synthetic


def test_panels_titles_units_and_rows(drawn):
    figure, _ = drawn
    upper = figure.subfigs[0]
    panels = [axis for axis in upper.axes if axis.images]
    assert len(panels) == 4 * 6
    assert [axis.get_title() for axis in panels[:6]] == [
        "scan, mask outlined",
        "reconstruction",
        "squared error",
        "anomaly",
        "epistemic variance",
        "aleatoric variance",
    ]
    assert [axis.get_ylabel() for axis in panels[::6]] == [
        "slice 3\nscore 0.9\nabove threshold",
        "slice 4\nscore 0.8\nabove threshold",
        "slice 6\nscore 0.7\nabove threshold",
        "slice 5\nscore 0.3\nnot above\nthreshold",
    ]
    assert [axis.get_xlabel() for axis in upper.axes if not axis.images] == [
        "intensity (normalised)",
        "scanner units",
        "intensity² (normalised)",
        "score",
        "10⁻⁵ intensity² (normalised)",
        "10⁻³ intensity² (normalised)",
    ]
    assert figure.get_suptitle() == "case $1_a: 50 $"


def test_one_colour_scale_per_column(drawn):
    figure, _ = drawn
    panels = np.reshape([axis for axis in figure.subfigs[0].axes if axis.images], (4, 6))
    limits = np.array([[axis.images[-1].get_clim() for axis in row] for row in panels])
    assert (limits == limits[:1]).all()
    assert (limits[:, 0] == limits[:, 1]).all()
    assert (limits[:, 4, 1] < 1e-4).all()


def test_strip_marks_shown_slices_threshold_and_gaps(tmp_path):
    figure, _ = draw(tmp_path, maps={}, rows=2)
    (strip,) = figure.subfigs[1].axes
    scores, shown, threshold = strip.lines
    assert np.isnan(scores.get_ydata()).tolist() == [score is None for score in SCORES]
    assert list(shown.get_xdata()) == [3, 4]
    assert set(threshold.get_ydata()) == {0.5}
    assert [bar.get_x() for bar in strip.patches] == [-0.5, 6.5]


def test_without_calibration_no_slice_is_called_above_a_threshold(tmp_path):
    figure, _ = draw(tmp_path, maps={}, slice_threshold=None)
    texts = texts_of(figure)
    assert "no threshold: not calibrated" in texts
    assert not any("above" in line for text in texts for line in text.splitlines() if line != "shown above")


def test_no_scored_slice_and_empty_maps_still_give_a_picture(tmp_path):
    image, maps = make_volumes()
    empty = {name: np.zeros_like(volume) for name, volume in maps.items()}
    figure, path = draw(tmp_path, image=image * 0, maps=empty, slice_scores=[None] * 8, rows=1)
    assert "slice 4\nnot scored" in texts_of(figure)
    assert path.exists()


def test_pixels_keep_their_proportions(tmp_path):
    figure, _ = draw(tmp_path, maps={}, spacing=(0.5, 1.0), rows=1)
    axis = figure.subfigs[0].axes[0]
    assert axis.get_aspect() == 2


def test_only_the_shown_slices_are_read(tmp_path):
    read = []

    class Lazy:
        def __init__(self, array):
            self.array, self.shape = array, array.shape

        def __getitem__(self, index):
            read.append(index[2])
            return self.array[index]

    image, maps = make_volumes()
    draw(tmp_path, image=Lazy(image), maps={name: Lazy(volume) for name, volume in maps.items()}, rows=2)
    assert set(read) == {3, 4}


def test_patient_right_is_left_and_anterior_is_up():
    array = np.zeros((4, 5, 1), np.float32)
    array[3, 4, 0] = 1  # RAS: the largest x is right, the largest y anterior
    plane = axial_plane(array, 0)
    assert plane.shape == (5, 4)
    assert plane[0, 0] == 1


def test_orientation_holds_for_a_scan_stored_otherwise():
    stored = np.zeros((4, 5, 1), np.float32)
    stored[0, 0, 0] = 1  # LPS: index 0 is right and anterior
    image = nib.as_closest_canonical(nib.Nifti1Image(stored, np.diag([-1, -1, 1, 1])))
    assert axial_plane(image.dataobj, 0)[0, 0] == 1


def test_head_box_holds_the_head_of_every_plane():
    first, second = np.zeros((100, 80), np.float32), np.zeros((100, 80), np.float32)
    first[40:50, 30:35] = 1
    second[60:70, 5:10] = 0.5
    assert head_box([first, second]) == (slice(37, 73), slice(3, 37))
    assert head_box([first * 0]) == (slice(0, 100), slice(0, 80))


def test_scale_ends_at_the_percentile_of_what_is_not_zero():
    plane = np.zeros((50, 50), np.float32)
    plane[:20] = np.linspace(1, 2, 1000).reshape(20, 50)
    scale = colour_scales({"anomaly": [plane]})["anomaly"]
    assert scale.vmin == 0
    assert scale.vmax == pytest.approx(1.995, abs=0.001)
    scale = colour_scales({"anomaly": [-plane]})["anomaly"]
    assert scale.vmin == pytest.approx(-1.995, abs=0.001)
    assert scale.vmax == pytest.approx(-1.005, abs=0.001)


def test_select_slices():
    assert select_slices(SCORES, 3) == [3, 4, 6]
    assert select_slices([0.5, 0.5, None, 0.5], 2) == [0, 1]
    assert select_slices([-2.0, -1.0], 5) == [1, 0]
    assert select_slices([None, None, None], 2) == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": {"entropy": np.zeros(SHAPE)}}, "entropy"),
        ({"maps": {"anomaly": np.zeros((30, 36, 7))}}, r"'anomaly'.*\(30, 36, 7\)"),
        ({"slice_scores": [0.1] * 7}, "7 scores"),
        ({"rows": 0}, "rows = 0"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        draw(tmp_path, **changes)
