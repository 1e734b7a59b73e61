from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.data.foreground import find_foreground, head_centre, upper_head
from scripts.errors import InputError
from tests.heads import make_head

HEAD = make_head((24, 28, 10), (8.0, 8.0, 14.0)).astype(np.float64)


def noisy_head(deviation: float = 5.0) -> np.ndarray:
    """Return the magnitude image of the head with complex noise: the background is Rayleigh noise."""
    real, imaginary = np.random.default_rng(0).normal(0, deviation, (2, *HEAD.shape))
    return np.hypot(HEAD + real, imaginary)


def test_clean_scan_has_its_threshold_at_8_percent_of_the_98th_percentile():
    found = find_foreground(HEAD + 40)
    assert found.background == 40
    assert found.threshold == pytest.approx(40 + 0.08 * np.percentile(HEAD[HEAD > 0], 98), rel=1e-5)


@pytest.mark.parametrize("background", [-1024.0, -0.5, 0.0, 3.0, 1000.0])
def test_background_may_have_any_value(background):
    volume = HEAD + background
    found = find_foreground(volume)
    assert found.background == background
    np.testing.assert_array_equal(volume > found.threshold, HEAD > 0)


def test_threshold_is_above_the_noise_and_below_the_tissue():
    volume = noisy_head()
    outside, tissue = volume[HEAD == 0], volume[HEAD > 0]
    found = find_foreground(volume)
    assert np.median(outside) == pytest.approx(found.background, rel=0.1)
    assert (outside > found.threshold).mean() < 0.005
    assert (tissue > found.threshold).mean() > 0.999


def test_noise_moves_the_threshold_by_four_robust_deviations():
    volume = noisy_head(12.0)
    border = np.concatenate([volume[0], volume[-1], volume[1:-1, 0], volume[1:-1, -1]]).ravel()
    deviation = 1.4826 * np.median(np.abs(border - np.median(border)))
    found = find_foreground(volume)
    assert found.threshold - found.background == pytest.approx(4 * deviation, rel=0.05)
    assert found.threshold - found.background > 1.2 * 0.08 * np.percentile(HEAD[HEAD > 0], 98)


@given(st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_both_levels_move_with_the_intensities(scale, offset):
    volume = noisy_head()
    before, after = find_foreground(volume), find_foreground(volume * scale + offset)
    tolerance = 1e-9 * (1e3 + 300 * scale)
    assert after.background == pytest.approx(scale * before.background + offset, abs=tolerance)
    assert after.threshold == pytest.approx(scale * before.threshold + offset, abs=tolerance)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32])
def test_integers_do_not_overflow(kind):
    volume = np.round(HEAD).clip(0, 255).astype(kind)
    expected = find_foreground(volume.astype(np.float64))
    assert find_foreground(volume) == expected
    assert find_foreground(volume[::-1, ::-1, ::-1]) == expected


def test_a_small_head_in_a_large_field_of_view_is_all_found():
    wide = np.pad(HEAD, ((100, 100), (80, 80), (0, 0)))
    found = find_foreground(wide)
    np.testing.assert_array_equal(wide > found.threshold, wide > 0)


def test_large_volumes_are_sampled_with_nearly_the_same_result():
    large = np.repeat(np.repeat(np.repeat(noisy_head(), 6, axis=0), 6, axis=1), 12, axis=2)
    assert large.size > 2_000_000
    small, sampled = find_foreground(noisy_head()), find_foreground(large)
    assert sampled.background == small.background
    assert sampled.threshold == pytest.approx(small.threshold, rel=0.02)


@pytest.mark.parametrize("volume", [np.zeros((6, 6, 3)), np.full((6, 6, 3), 7.0), 100 - HEAD])
def test_no_bright_head_is_refused_by_name(volume):
    with pytest.raises(InputError, match="scan.nii: expected a head brighter than its border"):
        find_foreground(volume, "scan.nii")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 5, 2), (12, 14, 5)])
def test_values_that_are_no_numbers_are_refused_by_name(value, place):
    volume = HEAD.copy()
    volume[place] = value
    with pytest.raises(InputError, match="scan.nii: expected finite intensities"):
        find_foreground(volume, "scan.nii")


@pytest.mark.parametrize("depth", [1, 5, 200])
def test_centre_is_between_the_middle_voxels_of_the_box_around_the_head(depth):
    volume = np.zeros((40, 50, depth))
    volume[6:17, 20:48] = 1
    assert head_centre(volume, 0.5) == (11.5, 33.5)


def test_single_bright_voxels_do_not_move_the_centre():
    volume = np.zeros((40, 50, 8))
    volume[10:30, 10:40] = 1
    volume[0, 3, 2] = volume[39, 49, :2] = volume[20, 49, 5] = 1
    assert head_centre(volume, 0.5) == (19.5, 24.5)


@pytest.mark.parametrize("background", [1, 7, 300])
def test_background_around_the_scan_moves_the_centre_with_the_head(background):
    found = find_foreground(HEAD)
    alone = head_centre(HEAD, found.threshold)
    wide = np.pad(HEAD, ((background, 5), (0, 2 * background), (2, 3)))
    assert head_centre(wide, found.threshold) == (alone[0] + background, alone[1])


def test_the_middle_of_the_volume_stands_in_for_a_head():
    assert head_centre(np.zeros((40, 50, 8)), 0.5) == (19.5, 24.5)


def make_stack(slices: int, *sections: tuple[slice, int]) -> np.ndarray:
    """Return 30 x 30 x ``slices`` voxels of 0 with squares of 1: in which slices, and their sides."""
    volume = np.zeros((30, 30, slices))
    for levels, side in sections:
        volume[5 : 5 + side, 5 : 5 + side, levels] = 1
    return volume


@pytest.mark.parametrize(("step", "first"), [(1.0, 105), (2.5, 150), (5.0, 165), (100.0, 179)])
def test_the_upper_head_is_75_mm_below_its_highest_slice(step, first):
    assert upper_head(make_stack(200, (slice(20, 180), 20)), (3, 3, step)) == slice(first, 180)


def test_a_scan_of_less_than_the_upper_head_is_one():
    assert upper_head(make_stack(12, (slice(2, 11), 20)), (3, 3, 5)) == slice(0, 11)


def test_what_is_smaller_than_a_head_is_no_top_of_one():
    volume = make_stack(60, (slice(0, 40), 20), (slice(50, 51), 16))
    assert upper_head(volume, (3, 3, 5)) == slice(25, 40)
    assert upper_head(volume, (3.2, 3.2, 5)) == slice(36, 51)


def test_where_no_section_is_that_of_a_head_all_slices_are_the_upper_head():
    assert upper_head(make_stack(60, (slice(30, 40), 16)), (3, 3, 5)) == slice(0, 60)


def test_a_bright_face_does_not_change_what_the_upper_head_is():
    volume = 10 * make_stack(60, (slice(2, 50), 20))
    volume[5:25, 5:25, 50] = 1  # above the threshold only without the face
    face = volume.copy()
    face[10:25, 10:25, 2:20] = 100
    assert upper_head(face, (3, 3, 5)) == upper_head(volume, (3, 3, 5)) == slice(36, 51)
