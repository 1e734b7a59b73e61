"""The augmentation of the training's config: no side and no axis is treated unlike the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Transform

from scripts import BUNDLE_ROOT


def make_transform(name: str) -> Transform:
    """Return one transform of the augmentation, as configured."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLE_ROOT / "configs" / "train.yaml"))
    transforms = parser["train#augmentation#transforms"]
    return parser.get_parsed_content(
        f"train#augmentation#transforms#{[one['_target_'] for one in transforms].index(name)}"
    )


def test_the_bias_field_is_no_brighter_on_one_side() -> None:
    transform, flat = make_transform("RandBiasFieldd"), torch.full((1, 64, 64), 0.5)
    fields = []
    for seed in range(200):
        transform.set_random_state(seed)
        fields.append(np.asarray(transform({"image": flat})["image"])[0])
    for axis in (0, 1):
        first, second = np.split(np.stack(fields), 2, axis=axis + 1)
        brighter = (second.mean(axis=(1, 2)) > first.mean(axis=(1, 2))).mean()
        assert 0.35 < brighter < 0.65
    assert np.mean(fields) == pytest.approx(0.5, rel=0.05)


def test_shift_and_scale_act_on_both_axes() -> None:
    transform, square = make_transform("RandAffined"), torch.zeros(1, 64, 64)
    square[:, 24:40, 24:40] = 1
    places = torch.arange(64.0)
    centres = []
    for seed in range(100):
        transform.set_random_state(seed)
        moved = torch.as_tensor(transform({"image": square})["image"])[0]
        centres.append([float((moved.sum(dim=1 - axis) * places).sum() / moved.sum()) for axis in (0, 1)])
    spread = np.std(centres, axis=0)
    assert (spread > 2).all()
    assert 0.7 < spread[0] / spread[1] < 1.4
