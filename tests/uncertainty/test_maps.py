"""What servers show of a prediction: one map, on the scan's own grid, or a mask of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.errors import InputError, ModelError
from scripts.uncertainty.maps import (
    MASK,
    RESULT_DTYPE,
    MapName,
    MaskMapd,
    SelectMapd,
    first_choice,
    map_in_units,
    quantity_of,
)

FLOAT_MAPS = [name for name in MapName if name is not MapName.RECONSTRUCTION]


def scan():
    """A preprocessed scan of three slices, the last without brain, as the preprocessing leaves it."""
    values = torch.full((1, 4, 4, 3), 0.5)
    values[..., 0, 0, :2] = 0
    values[..., 2] = 0
    meta = {"filename_or_obj": "a.nii.gz", "intensity_range": [(10.0, 30.0)], "background": [4.0]}
    return MetaTensor(values, affine=torch.diag(torch.tensor([2.0, 3, 4, 1])), meta=meta)


def prediction():
    return torch.arange(5.0)[:, None, None, None].expand(5, 4, 4, 3) / 4


@pytest.mark.parametrize("name", [*FLOAT_MAPS, MASK])
def test_select_map(name):
    output = SelectMapd("pred", str(name))({"pred": prediction(), "image": scan(), "case": "a"})
    assert output["case"] == "a"
    channel = list(MapName).index("anomaly" if name == MASK else str(name))
    assert output["pred"].shape == (1, 4, 4, 3)
    assert (output["pred"] == channel / 4).all()


def test_selected_map_lies_on_the_grid_of_the_image():
    image = scan()
    output = SelectMapd("pred")({"pred": prediction(), "image": image})["pred"]
    assert isinstance(output, MetaTensor)
    assert torch.equal(output.affine, image.affine)


def test_reconstruction_is_in_the_units_of_the_scan():
    output = SelectMapd("pred", "reconstruction")({"pred": prediction(), "image": scan()})["pred"]
    assert (output[0, 1:, :, :2] == 30).all()
    assert (output[0, 0, 0, :2] == 4).all()
    assert (output[..., 2] == 0).all()


def test_unknown_map_is_refused():
    with pytest.raises(InputError, match="got 'anomalies'"):
        SelectMapd("pred", "anomalies")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_map_of_no_numbers_is_refused(value):
    pred = prediction().clone()
    pred[3, 0, 0, 0] = value
    with pytest.raises(ModelError, match="a.nii.gz: expected finite maps"):
        SelectMapd("pred")({"pred": pred, "image": scan()})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "bool"])
def test_map_is_not_cut_down_to_whole_numbers(dtype):
    data = {"pred": prediction(), "image": scan(), RESULT_DTYPE: dtype}
    with pytest.raises(InputError, match=f"for the map epistemic, got {dtype}"):
        SelectMapd("pred", "epistemic")(data)
    SelectMapd("pred", MASK)(data)
    SelectMapd("pred", "epistemic")({**data, RESULT_DTYPE: "float32"})


@pytest.mark.parametrize("threshold", [0.25, "0.25"])
def test_mask_is_where_the_map_is_above_the_threshold(threshold):
    output = MaskMapd("pred", threshold)({"pred": MetaTensor(torch.tensor([0.0, 0.25, 0.26, 1.0]))})["pred"]
    assert output.dtype == torch.uint8
    assert output.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("threshold", [None, "", "high", "nan", float("inf"), [1], -0.5])
def test_mask_needs_a_threshold(threshold):
    with pytest.raises(InputError, match="Expected a number as the threshold of the mask, got"):
        MaskMapd("pred", threshold)


def test_first_choice():
    assert first_choice(["mask", "anomaly"]) == "mask"
    assert first_choice("anomaly") == "anomaly"


def test_intensities_of_a_reconstruction_are_those_of_the_first_modality() -> None:
    meta = {"intensity_range": [(10.0, 30.0), (0.0, 1.0)], "background": [4.0, 0.0]}
    image = MetaTensor(torch.full((2, 4, 4, 2), 0.5), meta=meta)
    image[:, 0, 0] = 0
    found = map_in_units(MapName.RECONSTRUCTION, image, torch.ones(6, 4, 4, 2))
    assert (found[0, 1:] == 30).all()
    assert (found[0, 0, 0] == 4).all()


@pytest.mark.parametrize("name", MapName)
def test_a_map_is_labelled_with_its_own_name(name: MapName) -> None:
    assert quantity_of(name, "lesion").label == name.value.upper().replace(
        "TOTAL_UNCERTAINTY", "TOTAL_VARIANCE"
    )
