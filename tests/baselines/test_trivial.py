from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scripts.baselines.baseline import Images
from scripts.baselines.trivial import (
    Asymmetry,
    BrightComponent,
    TrivialBaseline,
    make_baseline,
    mirror,
    trivial_scores,
)
from scripts.errors import InputError


def make_images(planes: list[np.ndarray]) -> Images:
    return np.stack(planes).astype(np.float32)[:, None]


def make_facts(count: int, level: float = 0.5, label: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"level": [level] * count, "label": [label] * count})


def make_head(value: float = 0.4, shift: int = 0, width: int = 60) -> np.ndarray:
    """A uniform block of 60 rows along Y and ``width`` along X around the middle, 0 elsewhere."""
    plane = np.zeros((128, 128))
    begin = 64 - width // 2 + shift
    plane[begin : begin + width, 30:90] = value
    return plane


def score(name: str, planes: list[np.ndarray]) -> list[float]:
    images, facts = make_images(planes), make_facts(len(planes))
    baseline = make_baseline(name)
    baseline.fit(make_images([make_head()]), make_facts(1))
    return baseline.score(images, facts).tolist()


def with_spot(plane: np.ndarray, size: int, value: float = 0.9) -> np.ndarray:
    spotted = plane.copy()
    spotted[40 : 40 + size, 50 : 50 + size] = value
    return spotted


def test_position_knows_only_the_level():
    facts = pd.DataFrame({"level": [0.0, 0.25, 0.5, 1.0], "label": [0, 0, 1, 0]})
    images = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
    baseline = make_baseline("position")
    baseline.fit(images, facts)
    assert baseline.score(images, facts).tolist() == [-0.5, -0.25, 0.0, -0.5]


def test_brain_area_is_the_share_of_foreground():
    assert score("brain_area", [make_head(width=60), make_head(0.9, width=30), np.zeros((128, 128))]) == [
        60 * 60 / 128**2,
        30 * 60 / 128**2,
        0.0,
    ]


def test_intensities_leave_the_background_out():
    small, large, empty = make_head(0.4, width=20), make_head(0.4, width=60), np.zeros((128, 128))
    assert score("mean_intensity", [small, large, empty]) == pytest.approx([0.4, 0.4, 0.0])
    half = make_head(0.4)
    half[64:94, 30:90] = 0.8
    assert score("mean_intensity", [half]) == pytest.approx([0.6])
    # 36 of 3600 foreground pixels are 1 %: a 5 x 5 spot stays below the percentile, 8 x 8 does not.
    spots = [with_spot(make_head(), 5), with_spot(make_head(), 8)]
    assert score("percentile_intensity", [*spots, empty]) == pytest.approx([0.4, 0.9, 0.0])


def test_asymmetry_is_zero_for_a_symmetric_head_wherever_it_lies():
    assert score("asymmetry", [make_head(shift=shift) for shift in (-20, -3, 0, 1, 25)]) == [0.0] * 5
    assert score("asymmetry", [make_head(width=59), make_head(width=59, shift=7)]) == [0.0, 0.0]
    assert score("asymmetry", [np.zeros((128, 128))]) == [0.0]


def test_asymmetry_is_the_mean_difference_over_the_head():
    # A 10 x 10 spot of 0.5 more on one side differs in 2 x 100 of 3600 pixels.
    spotted = with_spot(make_head(0.4), 10)
    assert score("asymmetry", [spotted]) == pytest.approx([0.5 * 200 / 3600])
    assert score("asymmetry", [spotted[::-1]]) == pytest.approx([0.5 * 200 / 3600])
    # Top and bottom may differ: only left and right are compared.
    anterior = make_head(0.4)
    anterior[:, 60:90] *= 2
    assert score("asymmetry", [anterior]) == [0.0]


def test_brightest_patch_is_a_mean_of_25_pixels():
    planes = [with_spot(make_head(), size, 0.9) for size in (1, 5, 20)]
    assert score("brightest_patch", planes) == pytest.approx([(24 * 0.4 + 0.9) / 25, 0.9, 0.9])


def test_bright_component_is_the_largest_one_above_normal_tissue():
    two = with_spot(make_head(), 6)
    two[70:73, 70:80] = 0.9  # 30 pixels beside the 36 of the spot
    diagonal = make_head()
    diagonal[50, 50] = diagonal[51, 51] = 0.9  # touch at a corner only
    assert score("bright_component", [make_head(), two, diagonal]) == [0.0, 36.0, 1.0]


def test_bright_component_learns_from_normal_slices_only():
    generator = np.random.default_rng(0)
    normal = make_head() * generator.uniform(0.5, 1.0, (128, 128))
    images = make_images([normal, make_head(1.0)])
    facts = pd.DataFrame({"level": [0.5, 0.5], "label": [0, 1]})
    baseline = BrightComponent(quantile=0.9)
    baseline.fit(images, facts)
    inside = images[0, 0][images[0, 0] > 0]
    assert baseline.threshold == pytest.approx(np.quantile(inside, 0.9), rel=1e-3)
    with pytest.raises(InputError, match="normal training slices"):
        baseline.fit(images, facts.assign(label=1))
    with pytest.raises(InputError, match="call fit first"):
        BrightComponent().score(images, facts)


def test_channels_are_averaged():
    head = make_head(0.2)
    brighter = make_head(0.6)
    images = np.stack([head, brighter]).astype(np.float32)[None]
    assert make_baseline("mean_intensity").score(images, make_facts(1)) == pytest.approx([0.4])


@pytest.mark.parametrize("width", [1, 5, 60, 61])
def test_mirroring_twice_gives_the_slice_back(width):
    plane = with_spot(make_head(width=width), 3)
    assert np.array_equal(mirror(mirror(plane)), plane)


def test_mirror_drops_what_leaves_the_slice():
    plane = np.zeros((8, 1))
    plane[[0, 6, 7], 0] = (0.1, 0.2, 0.3)  # centroid 13 / 3, so the mirror stands at 4.5
    assert mirror(plane)[:, 0].tolist() == [0, 0, 0.3, 0.2, 0, 0, 0, 0]


@pytest.mark.parametrize("name", list(TrivialBaseline))
def test_every_baseline_scores_each_slice_by_itself(name):
    generator = np.random.default_rng(1)
    images = make_images([make_head() * generator.uniform(0.2, 1.0, (128, 128)) for _ in range(6)])
    facts = pd.DataFrame({"level": generator.random(6), "label": [0, 1, 0, 1, 0, -1]})
    baseline = make_baseline(name)
    baseline.fit(images, facts)
    scores = baseline.score(images, facts)
    assert scores.shape == (6,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    order = np.array([3, 0, 5])
    relabelled = facts.iloc[order].assign(label=-1)
    assert baseline.score(images[order], relabelled).tolist() == scores[order].tolist()
    with pytest.raises(InputError, match="one row of facts per slice, got 6 slices and 3 rows"):
        baseline.score(images, relabelled)
    with pytest.raises(InputError, match=r"shape \(N, C, X, Y\), got \(6, 128, 128\)"):
        baseline.fit(images[:, 0], facts)


def test_trivial_scores_hold_every_baseline_fitted_on_the_training_slices():
    train = make_images([make_head(0.5)])
    images = make_images([with_spot(make_head(0.5), 4), make_head(0.5)])
    scores = trivial_scores(images, make_facts(2, label=-1), train, make_facts(1))
    assert list(scores) == [
        "position",
        "brain_area",
        "mean_intensity",
        "percentile_intensity",
        "asymmetry",
        "brightest_patch",
        "bright_component",
    ]
    assert scores["bright_component"].tolist() == [16.0, 0.0]
    assert scores["asymmetry"].tolist() == Asymmetry().score(images, make_facts(2)).tolist()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"of position, brain_area, .*, got 'positon'"):
        make_baseline("positon")
