"""Sheared grids, against a field whose value at every place in the world is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from scripts.data.straightening import StraightenShearedd, is_sheared, straight_grid
from tests.heads import rotation, scan_affine

SHAPE, SPACING = (20, 24, 12), (2.0, 1.5, 5.0)


def sheared_affine(degrees: float) -> np.ndarray:
    affine = scan_affine(SHAPE, SPACING)
    affine[1, 2] = np.tan(np.deg2rad(degrees)) * SPACING[2]
    return rotation(11, -7) @ affine


def places(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the world coordinates (3, X, Y, Z) of every voxel."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")).reshape(3, -1)
    return (affine[:3, :3] @ grid + affine[:3, 3:]).reshape(3, *shape)


def field(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a field that is linear in the world, so that linear resampling is exact."""
    x, y, z = places(affine, shape)
    return 100 + 3 * x - 2 * y + z


@pytest.mark.parametrize("degrees", [15, -20], ids=["18-forward", "18-backward"])
def test_values_stay_at_their_places_in_the_world(degrees: float) -> None:
    affine = sheared_affine(degrees)
    assert is_sheared(affine)
    image = MetaTensor(torch.from_numpy(field(affine, SHAPE))[None].float(), affine=torch.from_numpy(affine))
    steps = StraightenShearedd("image")
    straight = steps({"image": image})["image"]
    assert not is_sheared(straight.affine.numpy())
    new, shape = straight.affine.numpy(), tuple(straight.shape[1:])
    # Places that lie within the sheared volume; outside of it the border is repeated.
    inside = np.einsum(
        "ij,jxyz->ixyz", np.linalg.inv(affine)[:3, :3], places(new, shape) - affine[:3, 3].reshape(3, 1, 1, 1)
    )
    covered = np.all([(axis > 0) & (axis < n - 1) for axis, n in zip(inside, SHAPE, strict=True)], axis=0)
    assert covered.mean() > 0.5
    np.testing.assert_allclose(straight.numpy()[0][covered], field(new, shape)[covered], atol=2e-3)
    back = steps.inverse({"image": straight})["image"]
    assert back.shape == image.shape
    np.testing.assert_allclose(back.affine, affine, atol=1e-9)
    middle = np.s_[0, 2:-2, 2:-2, 1:-1]
    np.testing.assert_allclose(back.numpy()[middle], image.numpy()[middle], atol=5e-3)


def test_slices_stay_the_slices() -> None:
    affine = sheared_affine(20)
    straight, shape = straight_grid(affine, SHAPE)
    assert shape[2] == SHAPE[2]
    np.testing.assert_allclose(np.linalg.norm(straight[:3, :3], axis=0), SPACING)
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    for index in range(SHAPE[2]):
        offset = (
            straight[:3, :3] @ [0, 0, index]
            + straight[:3, 3]
            - affine[:3, :3] @ [0, 0, index]
            - affine[:3, 3]
        )
        assert abs(normal @ offset) < 1e-9


@pytest.mark.parametrize("turn", [np.eye(4), rotation(20, 30)])
def test_straight_and_oblique_scans_are_left_alone(turn: np.ndarray) -> None:
    affine = torch.from_numpy(turn @ scan_affine(SHAPE, SPACING))
    image = MetaTensor(torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(0)), affine=affine)
    steps = StraightenShearedd("image")
    result = steps({"image": image})["image"]
    assert torch.equal(result.as_tensor(), image.as_tensor())
    back = steps.inverse({"image": result})["image"]
    assert torch.equal(back.as_tensor(), image.as_tensor())
    assert not back.applied_operations


def test_a_mask_stays_in_its_slices_and_is_no_larger() -> None:
    affine = sheared_affine(15)
    mask = torch.zeros((1, *SHAPE))
    mask[:, 6:13, 8:15, 4:8] = 2
    straight = StraightenShearedd("label", label_keys="label")({"label": MetaTensor(mask, affine=affine)})
    areas = straight["label"].sum(dim=(0, 1, 2))
    assert (areas > 0).tolist() == [4 <= index < 8 for index in range(SHAPE[2])]
    assert areas[4:8].tolist() == pytest.approx([49] * 4, abs=7)
    assert set(straight["label"].unique().tolist()) == {0.0, 1.0}
