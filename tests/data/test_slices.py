from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.data.slices import (
    ExtractSlicesd,
    MeasureLesiond,
    brain_slices,
    slice_label,
    slice_levels,
)
from scripts.errors import InputError
from tests.heads import as_image, rotation


def normalised(fractions: list[float], size: int = 10, channels: int = 1) -> np.ndarray:
    """Return a (C, size, size, Z) volume whose slices have these fractions of foreground."""
    volume = np.zeros((channels, size * size, len(fractions)), dtype=np.float32)
    for index, fraction in enumerate(fractions):
        volume[-1, : round(fraction * size * size), index] = 0.5
    return volume.reshape(channels, size, size, len(fractions))


# --- facts of slices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
def test_brain_slices_have_at_least_a_tenth_of_foreground(channels):
    volume = normalised([0, 0.09, 0.10, 0.11, 0.05, 1.0], channels=channels)
    assert brain_slices(volume).tolist() == [2, 3, 5]
    assert brain_slices(torch.as_tensor(volume)).tolist() == [2, 3, 5]


@pytest.mark.parametrize(
    ("indices", "levels"), [([], []), ([7], [0.5]), ([3, 4], [0, 1]), ([2, 3, 5, 10], [0, 0.125, 0.375, 1])]
)
def test_levels_run_from_the_lowest_brain_slice_to_the_highest(indices, levels):
    assert slice_levels(np.array(indices, dtype=int)).tolist() == levels


@pytest.mark.parametrize(
    ("area", "label"), [(0.0, 0), (0.1, -1), (49.99, -1), (50.0, 1), (3000.0, 1), (float("nan"), -1)]
)
def test_label_by_lesion_area(area, label):
    assert slice_label(area) == label


# --- MeasureLesiond -----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [None, rotation(15, 20)])
def test_lesion_area_is_in_mm2_of_the_plane(turn):
    mask = np.zeros((9, 8, 4))
    mask[2:5, 1:6, 1] = 1
    mask[0, 0, 2] = 2
    mask[7:9, 7, 2] = 4
    result = MeasureLesiond()({"label": as_image(mask, (0.5, 3.0, 7.0), turn)})
    np.testing.assert_allclose(result["lesion_mm2"], [0, 15 * 1.5, 3 * 1.5, 0], rtol=1e-12)


def test_no_mask_no_area():
    assert MeasureLesiond()({"case": "a"}) == {"case": "a"}


# --- ExtractSlicesd -----------------------------------------------------------------------------------


def extract(volume: np.ndarray, **others) -> dict:
    image = MetaTensor(torch.as_tensor(volume), affine=as_image(volume, (24, 24, 6.5), rotation(9, 0)).affine)
    return ExtractSlicesd("image")({"image": image, "case": "c1", "patient": "p1", **others})


def test_facts_follow_the_definitions():
    volume = normalised([0, 0.3, 0.05, 0.4, 0.1])
    areas = torch.tensor([0.0, 0.0, 7.0, 50.0, 49.0], dtype=torch.float64)
    label = as_image(volume > 0, (24, 24, 6.5))
    result = extract(volume, lesion_mm2=areas, label=label)
    facts = result["facts"]
    assert facts["case"] == ["c1"] * 3
    assert facts["patient"] == ["p1"] * 3
    assert facts["slice"] == [1, 3, 4]
    assert facts["level"] == pytest.approx([0, 2 / 3, 1])
    assert facts["spacing_mm"] == pytest.approx([6.5] * 3)
    assert facts["lesion_mm2"] == [0, 50, 49]
    assert facts["foreground"] == pytest.approx([0.3, 0.4, 0.1])
    assert facts["label"] == [0, 1, -1]
    for row, index in enumerate(facts["slice"]):
        np.testing.assert_array_equal(result["images"][row], volume[..., index])
        np.testing.assert_array_equal(result["masks"][row, 0], volume[0, ..., index] > 0)
    assert result["images"].dtype == torch.float32
    assert result["masks"].dtype == torch.uint8


def test_what_is_kept_is_plain():
    result = extract(normalised([0.3, 0.4], channels=2))
    assert type(result["images"]) is torch.Tensor
    assert type(result["masks"]) is torch.Tensor
    assert result["images"].shape == (2, 2, 10, 10)
    assert result["masks"].shape == (2, 1, 10, 10)
    kinds = {type(value) for column in result["facts"].values() for value in column}
    assert kinds <= {str, int, float}


def test_without_mask_area_and_label_are_unknown():
    result = extract(normalised([0.3, 0.4]))
    assert np.isnan(result["facts"]["lesion_mm2"]).all()
    assert result["facts"]["label"] == [-1, -1]
    assert not result["masks"].any()


def test_a_scan_without_brain_is_refused_by_name():
    with pytest.raises(InputError, match="c1: expected slices with brain on at least 10 %"):
        extract(normalised([0.05, 0]))
