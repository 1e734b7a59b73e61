"""The profile of a scan against plain loops over a picture whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.data.profile import scan_profile, spread_slices

PIXEL = 2.0


def head(rim: float = 0.9, inner: float = 0.3, core: float = 0.6) -> np.ndarray:
    """Return slices (2, 1, 128, 128) of discs of 160 mm and 120 mm: 8 mm of rim, 14 mm of ring, core."""
    y, x = np.mgrid[:128, :128]
    radius = np.hypot(x - 64, y - 64) * PIXEL
    slices = []
    for outer in (80, 60):
        values = np.where(radius < outer - 22, core, np.where(radius < outer - 8, inner, rim))
        slices.append(np.where(radius < outer, values, 0))
    return np.stack(slices)[:, None].astype(np.float32)


def test_zones_are_told_apart() -> None:
    profile = scan_profile(head(), PIXEL)
    assert profile["0_rim"] == pytest.approx(0.9)
    assert profile["0_inner"] == pytest.approx(0.3, abs=0.1)
    assert profile["0_core"] == pytest.approx(0.6)
    assert profile["0_rim_deviation"] == pytest.approx(0, abs=1e-6)


def test_numbers_are_those_of_plain_loops() -> None:
    slices = head() * np.random.default_rng(0).uniform(0.5, 1, (2, 1, 128, 128)).astype(np.float32)
    profile = scan_profile(slices, PIXEL)
    values = [float(value) for value in slices.ravel() if value > 0]
    assert profile["0_percentile_90"] == pytest.approx(np.percentile(values, 90))
    assert profile["0_deviation"] == pytest.approx(np.std(values))
    mean, deviation = np.mean(values), np.std(values)
    assert profile["0_skewness"] == pytest.approx(np.mean([((v - mean) / deviation) ** 3 for v in values]))
    steps = [
        abs(float(one[x + 1, y]) - float(one[x, y]))
        for one in slices[:, 0]
        for x in range(127)
        for y in range(128)
        if one[x, y] > 0 and one[x + 1, y] > 0
    ]
    assert profile["0_gradient"] == pytest.approx(np.mean(steps), rel=1e-5)


def test_size_is_that_of_the_fullest_slice_in_mm() -> None:
    profile = scan_profile(head(), PIXEL)
    assert profile["width_mm"] == pytest.approx(160, abs=4)
    assert profile["length_mm"] == pytest.approx(160, abs=4)
    assert profile["area_cm2"] == pytest.approx(np.pi * 8**2, rel=0.02)


def test_each_modality_has_its_own_numbers() -> None:
    both = np.concatenate([head(), head(rim=0.1)], axis=1)
    profile, alone = scan_profile(both, PIXEL), scan_profile(head(), PIXEL)
    assert profile["0_rim"] == pytest.approx(alone["0_rim"])
    assert profile["1_rim"] == pytest.approx(0.1)
    assert len(profile) == 2 * len(alone) - 3


def test_a_head_without_a_core_has_numbers_too() -> None:
    small = np.zeros((1, 1, 128, 128), np.float32)
    small[0, 0, 60:64, 60:64] = np.linspace(0.2, 0.8, 4)
    assert np.isfinite(list(scan_profile(small, PIXEL).values())).all()


@pytest.mark.parametrize(("count", "most"), [(1, 40), (5, 5), (7, 3), (155, 40)])
def test_slices_are_spread_from_first_to_last(count: int, most: int) -> None:
    indices = spread_slices(count, most)
    assert indices[0] == 0
    assert indices[-1] == count - 1
    assert len(indices) == min(count, most)
    assert np.diff(indices).max(initial=0) - np.diff(indices).min(initial=count) <= 1
