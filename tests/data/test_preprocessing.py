from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.data.preprocessing import NormalizeForegroundd, ResampleInPlaned, fill_slices
from scripts.errors import InputError
from tests.heads import as_image, make_box, make_head

SCALES = [(4.0, 0.0), (3.7, 0.0), (1 / 3, 11.0), (0.1, 7.3), (1e-3, 0.0), (250, -900)]


def resample(image: MetaTensor, **arguments) -> MetaTensor:
    return ResampleInPlaned("image", **arguments)({"image": image})["image"]


def preprocess(image: MetaTensor, **arguments) -> MetaTensor:
    return NormalizeForegroundd("image")({"image": resample(image, **arguments)})["image"]


def ready(values: np.ndarray, threshold: float = 5.0, background: float = 0.0) -> dict:
    """Return what :class:`ResampleInPlaned` would hand on, without resampling."""
    image = as_image(values, (2, 2, 5))
    image.meta["threshold"] = [threshold] * len(image)
    image.meta["background"] = [background] * len(image)
    image.meta["upper_head"] = [0, values.shape[-1]]
    return {"image": image}


def test_percentiles_are_those_of_numpy():
    generator = np.random.default_rng(1)
    values = np.zeros((30, 30, 3), dtype=np.float32)
    values[5:25, 5:25] = generator.uniform(10, 200, (20, 20, 3))
    result = NormalizeForegroundd("image", lower=2, upper=97)(ready(values))["image"].as_tensor()[0].numpy()
    inside = values[5:25, 5:25]
    low, high = np.percentile(inside, (2, 97))
    expected = np.clip((inside - low) / (high - low), 1e-3, 1)
    np.testing.assert_allclose(result[5:25, 5:25], expected, rtol=1e-5)
    result[5:25, 5:25] = 0
    assert not result.any()


def test_percentiles_are_those_of_the_upper_head():
    values = make_box((20, 20, 4), slice(2, 18), slice(2, 18), np.linspace(50, 100, 16)[:, None, None])
    values[..., :2] *= 9
    data = ready(values)
    data["image"].meta["upper_head"] = [2, 4]
    result = NormalizeForegroundd("image")(data)["image"]
    ((low, high),) = result.meta["intensity_range"]
    assert (low, high) == pytest.approx(tuple(np.percentile(values[2:18, 2:18, 2:], (1, 99.5))), rel=1e-6)
    assert (result.as_tensor()[0, 2:18, 2:18, :2] == 1).all()


def test_background_is_0_and_foreground_in_its_range():
    image = as_image(make_head((50, 60, 8), (4, 4, 16)) + 33, (4, 4, 16))
    result = preprocess(image).as_tensor()
    outside = resample(image).as_tensor() == 0
    assert result.dtype == torch.float32
    assert (result[outside] == 0).all()
    inside = result[result > 0]
    assert float(inside.min()) == pytest.approx(1e-3)
    assert float(inside.max()) == 1.0


def test_dark_tissue_within_a_slice_is_tissue():
    values = np.zeros((20, 20, 3), dtype=np.float32)
    values[4:16, 4:16] = np.linspace(50, 100, 12)[:, None, None]
    values[8:11, 8:11, 1] = 0
    values[8:11, 8:20, 2] = 0
    result = NormalizeForegroundd("image", smallest=0.01)(ready(values))["image"].as_tensor()[0]
    assert (result[8:11, 8:11, 1] == 0.01).all()
    assert (result[8:11, 8:20, 2] == 0).all()


def test_holes_are_filled_slice_by_slice():
    shell = np.zeros((9, 9, 9), dtype=bool)
    shell[2:7, 2:7, 2:7] = True
    shell[3:6, 3:6, 3:6] = False
    filled = fill_slices(shell)
    assert filled[4, 4, 4]
    np.testing.assert_array_equal(filled.any(axis=(0, 1)), shell.any(axis=(0, 1)))
    tube = np.zeros((9, 9, 2), dtype=bool)
    tube[2:7, 2:7, 0] = True
    tube[3:5, 3:5, 0] = False
    assert fill_slices(tube).sum() == 25


@pytest.mark.parametrize(("scale", "offset"), SCALES)
@pytest.mark.parametrize("kind", ["smooth", "whole numbers"])
def test_scale_and_offset_of_the_intensities_change_nothing(scale, offset, kind):
    head = make_head((50, 60, 6), (4, 4, 20))
    head = head if kind == "smooth" else np.round(head / 2)
    before = preprocess(as_image(head, (4, 4, 20))).as_tensor()
    after = preprocess(as_image(head * np.float32(scale) + np.float32(offset), (4, 4, 20))).as_tensor()
    assert torch.equal(before > 0, after > 0)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("scale", "offset"), SCALES)
def test_no_rounding_decides_what_is_foreground(scale, offset):
    generator = np.random.default_rng(0)
    head = make_box((128, 128, 2), slice(20, 100), slice(20, 100), 125)
    head[20:30, 20:100] = generator.integers(5, 15, (10, 80, 1))  # 8 % of 125 is among them
    head[60:80, 60:80] = generator.integers(75, 125, (20, 20, 1))
    before = preprocess(as_image(head, (1.875, 1.875, 5))).as_tensor()
    after = preprocess(as_image(head * np.float32(scale) + np.float32(offset), (1.875, 1.875, 5))).as_tensor()
    assert torch.equal(before > 0, after > 0)


@pytest.mark.parametrize("background", [0.0, -1000.0, 70.0])
def test_the_range_is_told_in_the_units_of_the_scan(background):
    head = make_head((60, 70, 4), (3.75, 3.75, 15))
    result = preprocess(as_image(head + background, (3.75, 3.75, 15)))
    resampled = resample(as_image(head + background, (3.75, 3.75, 15))).as_tensor()[0].numpy()
    inside = resampled[result.as_tensor()[0].numpy() > 0]
    (low, high), *rest = result.meta["intensity_range"]
    assert rest == []
    assert (low, high) == pytest.approx(tuple(np.percentile(inside, (1, 99.5)) + background), rel=1e-5)
    restored = result.as_tensor()[0].numpy() * (high - low) + low
    middle = (result.as_tensor()[0].numpy() > 0.01) & (result.as_tensor()[0].numpy() < 0.99)
    np.testing.assert_allclose(restored[middle], (resampled + background)[middle], rtol=1e-4)


def test_modalities_share_the_foreground_but_not_the_range():
    values = np.zeros((2, 20, 20, 1), dtype=np.float32)
    values[0, 2:18, 2:12] = np.linspace(50, 100, 10)[:, None]
    values[1, 2:18, 8:18] = np.linspace(500, 900, 10)[:, None]
    result = NormalizeForegroundd("image")(ready(values))["image"]
    assert ((result.as_tensor() > 0) == torch.as_tensor(values > 0).any(dim=0, keepdim=True)).all()
    (_, first), (_, second) = result.meta["intensity_range"]
    assert 95 < first <= 100
    assert 850 < second <= 900


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((8, 8, 2)), "expected a head in the field of view, found none"),
        (
            make_box((8, 8, 2), slice(2, 6), slice(2, 6)),
            "expected varying intensities in the head, found one value",
        ),
        (np.full((8, 8, 2), np.nan), "expected finite intensities, found NaN"),
        (make_box((8, 8, 2), slice(2, 6), slice(2, 6), np.inf), "expected finite intensities"),
    ],
)
def test_what_cannot_be_normalised_is_refused_by_name(values, message):
    with pytest.raises(InputError, match=f"scan.nii.gz: {message}"):
        NormalizeForegroundd("image")(ready(values))
