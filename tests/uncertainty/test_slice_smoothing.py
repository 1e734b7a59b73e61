from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from scripts.uncertainty.slice_smoothing import REACH, smooth_over_slices


def smooth_all(maps: torch.Tensor, places: torch.Tensor, deviation: float) -> torch.Tensor:
    return smooth_over_slices(maps, torch.ones_like(maps, dtype=torch.bool), places, deviation)


def make_maps(count: int = 11) -> torch.Tensor:
    return torch.rand((count, 4, 5), generator=torch.Generator().manual_seed(0))


def test_inside_a_stack_it_is_scipys_gaussian() -> None:
    maps = make_maps()
    smooth = smooth_all(maps, torch.arange(11.0) * 3, 6.0)
    expected = gaussian_filter1d(maps.numpy(), 6.0 / 3, axis=0, radius=4)
    np.testing.assert_allclose(smooth[4:7], expected[4:7], rtol=1e-5)


def test_every_slice_is_the_weighted_mean_of_those_within_reach() -> None:
    maps, places = make_maps(5), torch.tensor([0.0, 2.0, 3.0, 11.0, 13.0])
    smooth = smooth_all(maps, places, 4.0)
    for row, place in enumerate(places):
        weights = np.exp(-0.5 * ((places - place) / 4.0) ** 2) * ((places - place).abs() <= REACH * 4.0)
        expected = sum(w * one for w, one in zip(weights, maps, strict=True)) / weights.sum()
        torch.testing.assert_close(smooth[row], expected.float())


def test_equal_slices_stay_as_they_are() -> None:
    maps = make_maps(1).repeat(6, 1, 1)
    torch.testing.assert_close(smooth_all(maps, torch.arange(6.0), 2.0), maps)


def test_the_order_of_the_slices_changes_nothing() -> None:
    maps, places, order = make_maps(), torch.arange(11.0) * 2, torch.randperm(11)
    smooth = smooth_all(maps, places, 5.0)
    torch.testing.assert_close(smooth_all(maps[order], places[order], 5.0), smooth[order])


def test_what_is_out_of_reach_changes_no_bit() -> None:
    maps, places = make_maps(), torch.arange(11.0) * 3
    smooth = smooth_all(maps, places, 6.0)
    other = maps.clone()
    other[:3] = 9
    assert torch.equal(smooth_all(other, places, 6.0)[7:], smooth[7:])
    assert not torch.equal(smooth_all(other, places, 6.0)[6], smooth[6])
    assert torch.equal(smooth_all(maps[3:], places[3:], 6.0)[4:], smooth[7:])


@pytest.mark.parametrize(("deviation", "distance"), [(0.0, 1.0), (6.0, 13.0)])
def test_no_deviation_or_no_neighbour_leaves_the_maps(deviation: float, distance: float) -> None:
    maps = make_maps()
    assert torch.equal(smooth_all(maps, torch.arange(11.0) * distance, deviation), maps)


def test_the_background_of_each_slice_stays_0() -> None:
    maps, places = make_maps(), torch.arange(11.0) * 3
    foreground = torch.rand(maps.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    smooth = smooth_over_slices(maps * foreground, foreground, places, 6.0)
    assert torch.equal(smooth, smooth_all(maps * foreground, places, 6.0) * foreground)
    assert not smooth[~foreground].any()


def test_negative_scores_are_not_raised_by_the_background_of_neighbours() -> None:
    maps = torch.full((5, 2, 2), -2.0)
    foreground = torch.ones_like(maps, dtype=torch.bool)
    foreground[2] = False
    smooth = smooth_over_slices(maps * foreground, foreground, torch.arange(5.0), 2.0)
    torch.testing.assert_close(smooth, maps * foreground)
