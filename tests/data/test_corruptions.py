from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from scripts.data import corruptions
from scripts.data.corruptions import STRENGTHS, Corruption, corrupt
from scripts.data.image_sets import load_image_set
from scripts.errors import InputError


@pytest.fixture(scope="module")
def digits():
    return load_image_set("digits").test_images


def noise_images(count, channels=1, side=28):
    return np.random.default_rng(0).integers(256, size=(count, channels, side, side), dtype=np.uint8)


@pytest.mark.parametrize("kind", list(Corruption))
def test_a_corruption_grows_with_its_strength_and_comes_from_the_seed(digits, kind):
    before = digits.copy()
    changes = []
    for strength in (1, 2, 3):
        copies = corrupt(digits, kind.value, strength, seed=5)
        assert (copies.dtype, copies.shape) == (np.uint8, digits.shape)
        assert np.array_equal(copies, corrupt(digits, kind, strength, seed=5))
        if kind is not Corruption.BLUR:  # has nothing to draw
            assert not np.array_equal(copies, corrupt(digits, kind, strength, seed=6))
        changes.append(np.abs(copies.astype(float) - digits).mean())
    assert 0 < changes[0] < changes[1] < changes[2]
    assert np.array_equal(digits, before)


@pytest.mark.parametrize("kind", [Corruption.BLUR, Corruption.NOISE])
def test_the_size_of_a_batch_changes_nothing(monkeypatch, kind):
    images = noise_images(7, channels=3)
    whole = corrupt(images, kind, 2, seed=1)
    monkeypatch.setattr(corruptions, "_BATCH", 2)
    assert np.array_equal(corrupt(images, kind, 2, seed=1), whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_turned_left_or_right_by_the_angle_of_the_table(channels):
    # A bar from the centre to the right: the angle of its centre of mass is that of the rotation.
    image = np.zeros((40, channels, 41, 41), dtype=np.uint8)
    image[:, :, 19:22, 20:] = 255
    rows, columns = np.mgrid[-20:21, -20:21]
    for strength, degrees in enumerate(STRENGTHS[Corruption.ROTATION], start=1):
        turned = corrupt(image, "rotation", strength, seed=0)[:, -1].astype(float)
        assert ((turned > 0) & (turned < 255)).any()  # interpolated
        inside = turned * (rows**2 + columns**2 < 18**2)  # without what the edge repeats
        angles = np.degrees(np.arctan2((inside * rows).sum((1, 2)), (inside * columns).sum((1, 2))))
        np.testing.assert_allclose(np.abs(angles), degrees, atol=1)
        assert 5 < (angles > 0).sum() < 35


def test_an_occlusion_is_one_grey_square_inside_the_image():
    images = np.zeros((200, 3, 28, 32), dtype=np.uint8)
    for strength, share in enumerate(STRENGTHS[Corruption.OCCLUSION], start=1):
        side = round(28 * share)
        hidden = corrupt(images, "occlusion", strength, seed=0)
        assert set(np.unique(hidden)) == {0, 128}
        rows, columns = (hidden == 128).all(1).any(2).sum(1), (hidden == 128).all(1).any(1).sum(1)
        assert set(rows) == set(columns) == {side}
        assert ((hidden == 128).sum((1, 2, 3)) == 3 * side**2).all()
        seen = (hidden == 128).any((0, 1))
        assert seen.any(0).all()
        assert seen.any(1).all()


def test_blur_is_that_of_every_channel_by_itself():
    images = noise_images(3, channels=3, side=32)
    blurred = corrupt(images, "blur", 3, seed=0)
    for image, result in zip(images, blurred, strict=True):
        for channel, values in zip(image, result, strict=True):
            expected = gaussian_filter(channel.astype(float), STRENGTHS[Corruption.BLUR][2] * 32)
            np.testing.assert_allclose(values, expected, atol=0.51)


def test_noise_has_the_deviation_of_the_table_and_no_offset():
    images = np.full((100, 1, 28, 28), 128, dtype=np.uint8)
    for strength, share in enumerate(STRENGTHS[Corruption.NOISE][:2], start=1):
        values = corrupt(images, "noise", strength, seed=0).astype(float) - 128
        assert values.std() == pytest.approx(255 * share, rel=0.03)
        assert abs(values.mean()) < 1
    loud = corrupt(images, "noise", 3, seed=0)
    assert (loud.min(), loud.max()) == (0, 255)


@pytest.mark.parametrize("strength", [0, 4, -1])
def test_there_are_three_strengths(strength):
    with pytest.raises(InputError, match=f"strength of 1, 2 or 3 for the corruption blur, got {strength}"):
        corrupt(noise_images(1), "blur", strength, seed=0)


def test_an_unknown_corruption_lists_the_known_ones():
    with pytest.raises(InputError, match="out of rotation, occlusion, blur, noise, got 'fog'"):
        corrupt(noise_images(1), "fog", 1, seed=0)
