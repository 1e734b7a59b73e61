from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from scripts.data.preprocessing import ResampleInPlaned
from scripts.errors import InputError
from tests.heads import as_image, make_box, make_head, rotation

OBLIQUE = rotation(14, 11)


def resample(image: MetaTensor, **arguments) -> MetaTensor:
    return ResampleInPlaned("image", **arguments)({"image": image})["image"]


def world(image: MetaTensor, x: float, y: float, z: float) -> np.ndarray:
    return (image.affine.double().numpy() @ [x, y, z, 1])[:3]


def centroid(image: MetaTensor) -> np.ndarray:
    """Return the place (mm) of the middle of what is bright in a (1, X, Y, Z) image."""
    values = image.as_tensor()[0].double().numpy()
    places = np.stack(np.meshgrid(*map(np.arange, values.shape), indexing="ij"), axis=-1)
    return world(image, *np.average(places.reshape(-1, 3), axis=0, weights=values.ravel()))


@pytest.mark.parametrize("turn", [None, OBLIQUE])
def test_the_field_of_view_is_a_square_in_mm_and_slices_stay(turn):
    image = as_image(make_head((50, 44, 7), (4, 5, 12)), (4, 5, 12), turn)
    result = resample(image, field_of_view=200, size=64)
    assert result.shape == (1, 64, 64, 7)
    steps = np.linalg.norm(result.affine[:3, :3].numpy(), axis=0)
    np.testing.assert_allclose(steps, [200 / 64, 200 / 64, 12], rtol=1e-12)


def test_lengths_in_mm_are_kept():
    image = as_image(make_box((60, 60, 3), slice(15, 40), slice(10, 50)), (4, 2, 5))
    inside = resample(image, field_of_view=240, size=120).as_tensor()[0, ..., 1] > 50
    assert inside.any(dim=1).sum() == 25 * 4 / 2
    assert inside.any(dim=0).sum() == 40 * 2 / 2


@pytest.mark.parametrize(("x", "y"), [(slice(2, 30), slice(30, 58)), (slice(20, 55), slice(1, 21))])
def test_the_head_is_in_the_middle(x, y):
    result = resample(as_image(make_box((60, 60, 3), x, y), (4, 4, 5)), field_of_view=240, size=128)
    inside = result.as_tensor()[0, ..., 1] > 50
    for axis in (0, 1):
        rows = torch.nonzero(inside.any(dim=1 - axis)).flatten()
        assert abs((rows[0] + rows[-1]) / 2 - 63.5) <= 1


@pytest.mark.parametrize("turn", [None, OBLIQUE])
@pytest.mark.parametrize("spacing", [(4, 3.1), (1.875, 1.875), (1.2, 1.9), (0.9, 0.5), (0.45, 2.5)])
def test_a_ramp_is_sampled_exactly_where_the_affine_says(spacing, turn):
    shape = tuple(int(200 / step) for step in spacing)
    place = np.stack(np.meshgrid(*map(np.arange, (*shape, 2)), indexing="ij"), axis=-1).astype(float)
    image = as_image(np.zeros((*shape, 2)), (*spacing, 6), turn)
    slope = np.array([0.3, -0.2, 0.5])
    at = place @ image.affine[:3, :3].numpy().T + image.affine[:3, 3].numpy()
    edge = [int(20 / step) for step in spacing]
    values = make_box((*shape, 2), slice(edge[0], -edge[0]), slice(edge[1], -edge[1]), 1.0) * (
        300 + at @ slope
    )
    result = resample(as_image(values, (*spacing, 6), turn))
    # Far enough from the edge of the box that no sample mixes with the background.
    for pixel in ((64, 64, 0), (30, 95, 1), (90, 40, 1), (97, 97, 0)):
        expected = 300 + world(result, *pixel) @ slope
        assert float(result[0, *pixel]) == pytest.approx(expected, rel=1e-5)


def test_fine_scans_are_averaged():
    generator = np.random.default_rng(0)
    pattern = 30.0 * (-1) ** np.add.outer(np.arange(256), np.arange(256))
    head = make_box((256, 256, 2), slice(64, 192), slice(64, 192))
    fine = head + (head > 0) * pattern[..., None]
    result = resample(as_image(fine, (0.9375, 0.9375, 5)))
    np.testing.assert_allclose(result[0, 34:94, 34:94], 100, rtol=1e-6)
    noise = head + (head > 0) * generator.normal(0, 10, head.shape)
    deviation = float(resample(as_image(noise, (0.9375, 0.9375, 5)))[0, 34:94, 34:94].std())
    assert deviation == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("spacing", [(0.9375, 0.9375, 9), (0.625, 0.9375, 9), (0.7, 1.1, 9)])
@pytest.mark.parametrize("voxels", [1, 2, 3])
def test_a_fine_scan_is_the_same_one_voxel_further(spacing, voxels):
    shape = (int(210 / spacing[0]), int(230 / spacing[1]), 2)
    head = make_head(shape, spacing, semi_axes=(70, 85, 400), offset=(0, 0, 0))
    head[head > 0] += np.random.default_rng(0).normal(0, 20, int((head > 0).sum())).astype(np.float32)
    first = resample(as_image(head, spacing)).as_tensor()
    second = resample(as_image(np.roll(head, (voxels, -voxels), (0, 1)), spacing)).as_tensor()
    torch.testing.assert_close(second, first, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("depth", [1, 32, 33, 65])
def test_each_slice_is_sampled_by_itself(depth):
    values = np.concatenate([make_head((40, 40, 5), (5, 5, 12))[..., 1:4]] * 22, axis=2)[..., :depth]
    together = resample(as_image(values, (5, 5, 12)), size=32)
    assert together.shape == (1, 32, 32, depth)
    for index in {0, depth // 2, depth - 1}:
        same = [i for i in range(depth) if i % 3 == index % 3]
        for other in same:
            np.testing.assert_array_equal(together[..., index], together[..., other])


@pytest.mark.parametrize("turn", [None, OBLIQUE])
def test_a_landmark_stays_where_it_is_in_the_world(turn):
    head = make_box((70, 60, 5), slice(8, 60), slice(4, 50), 10.0)
    head[40:44, 12:15, 3] = 500
    image = as_image(head, (3.0, 3.5, 6.0), turn)
    mark = MetaTensor((image.as_tensor() > 400).float(), affine=image.affine)
    found = resample(image)
    found_mark = MetaTensor((found.as_tensor() - 10).clip(0), affine=found.affine)
    np.testing.assert_allclose(centroid(found_mark), centroid(mark), atol=0.35)


@pytest.mark.parametrize(("side", "outside"), [(160.0, 0.0), (240.0, 0.0), (300.0, 1 - 0.8**2)])
def test_the_share_of_the_head_beyond_the_square_is_known(side, outside):
    values = torch.zeros(1, 60, 60, 6)
    half = round(side / 6 / 2)
    values[:, 30 - half : 30 + half, 30 - half : 30 + half] = 100.0
    image = MetaTensor(values, affine=torch.diag(torch.tensor([6.0, 6.0, 4.0, 1.0])))
    found = ResampleInPlaned("image")({"image": image})["image"].meta["outside"]
    assert found == pytest.approx(outside, abs=0.02)


def test_what_lies_outside_the_scan_is_background():
    image = as_image(make_head((20, 24, 3), (8, 8, 20)) + 70, (8, 8, 20))
    result = resample(image, field_of_view=400)
    assert result.meta["background"] == [70.0]
    assert (result[0, 0] == 0).all()
    assert (result[0, :, -1] == 0).all()
    assert float(result.max()) == pytest.approx(float(image.max()) - 70, rel=0.02)


@pytest.mark.parametrize("shape", [(5, 7, 2), (40, 48, 9), (601, 500, 2), (20, 300, 1)])
@pytest.mark.parametrize("turn", [None, OBLIQUE])
def test_inverse_gives_the_grid_of_the_scan(shape, turn):
    spacing = (180 / shape[0], 210 / shape[1], 140 / shape[2])
    image = as_image(make_head(shape, spacing), spacing, turn)
    transform = Compose([ResampleInPlaned("image")])
    data = transform({"image": image})
    back = transform.inverse(data)["image"]
    assert back.shape == image.shape
    assert torch.equal(back.affine, image.affine)
    assert back.applied_operations == []


def smooth_scan(spacing: tuple[float, float, float], channels: int = 1) -> MetaTensor:
    """Return blobs (1 + C) x 100 high that fade to 0 towards the border of 200 x 200 mm."""
    shape = tuple(round(200 / step) for step in spacing[:2])
    axes = [np.linspace(-1, 1, n) for n in shape]
    bell = np.exp(-6 * np.add.outer((axes[0] - 0.1) ** 2, 1.5 * axes[1] ** 2))[..., None]
    return as_image(np.stack([bell.repeat(3, axis=2) * 100 * (1 + c) for c in range(channels)]), spacing)


@pytest.mark.parametrize("spacing", [(2.5, 2.5, 5), (1, 1, 1), (0.5, 0.8, 2), (2.0, 4.0, 3.0)])
def test_inverse_of_forward_is_close_for_a_smooth_image(spacing):
    image = smooth_scan(spacing, channels=2)
    transform = ResampleInPlaned("image", field_of_view=300, size=160)
    data = transform({"image": image})
    back = transform.inverse(data)["image"]
    background = torch.tensor(data["image"].meta["background"])[:, None, None, None]
    expected = image.as_tensor() - background
    inner = (..., slice(2, -2), slice(2, -2), slice(None))
    error = (back.as_tensor() - expected)[inner].abs().amax(dim=(1, 2, 3))
    assert (error <= torch.tensor([2.0, 4.0])).all()


def test_inverse_is_zero_outside_the_field_of_view():
    image = as_image(make_head((100, 100, 3), (5, 5, 30)), (5, 5, 30))
    transform = Compose([ResampleInPlaned("image", field_of_view=240)])
    data = transform({"image": image})
    ones = MetaTensor(torch.ones_like(data["image"].as_tensor()), meta=data["image"].meta)
    invert = Invertd("pred", transform, orig_keys="image", nearest_interp=False)
    pred = invert({**data, "pred": ones})["pred"].as_tensor()[0]
    middle = world(data["image"], 63.5, 63.5, 0)
    first = world(image, 0, 0, 0)
    across, along = (np.abs(first[axis] + 5.0 * np.arange(100) - middle[axis]) for axis in (0, 1))
    distance = torch.as_tensor(np.maximum.outer(across, along))[..., None].expand_as(pred)
    assert (pred[distance <= 119] == 1).all()
    assert (pred[distance >= 121] == 0).all()


def test_a_prediction_of_several_channels_is_brought_back_channel_by_channel():
    image = smooth_scan((2.0, 2.5, 5))
    transform = Compose([ResampleInPlaned("image")])
    data = transform({"image": image})
    values = torch.rand((4, *data["image"].shape[1:]), generator=torch.Generator().manual_seed(0))
    invert = Invertd("pred", transform, orig_keys="image", nearest_interp=False)
    together = invert({**data, "pred": MetaTensor(values)})["pred"]
    assert together.shape == (4, *image.shape[1:])
    for channel in range(4):
        alone = invert({**data, "pred": MetaTensor(values[channel : channel + 1])})["pred"]
        assert torch.equal(alone.as_tensor()[0], together.as_tensor()[channel])


def test_modalities_share_one_grid_and_keep_their_backgrounds():
    first = make_head((40, 48, 4), (5, 5, 25))
    image = as_image(np.stack([first, 3 * first + 50]), (5, 5, 25))
    result = resample(image)
    assert result.meta["background"] == [0.0, 50.0]
    assert result.meta["threshold"][1] == pytest.approx(3 * result.meta["threshold"][0])
    np.testing.assert_allclose(result[1], 3 * result[0], rtol=1e-4, atol=1e-3)


def test_a_mask_goes_along_and_stays_on_its_lesion():
    head = make_head((60, 70, 4), (3, 3, 20))
    lesion = np.zeros_like(head)
    lesion[20:30, 30:42, 1:3] = 4
    data = {
        "image": as_image(head + 1000 * (lesion > 0), (3, 3, 20), OBLIQUE),
        "label": as_image(lesion, (3, 3, 20), OBLIQUE),
    }
    result = ResampleInPlaned("image", label_keys="label")(data)
    mask = result["label"]
    assert mask.dtype == torch.uint8
    assert mask.unique().tolist() == [0, 1]
    assert torch.equal(mask.affine, result["image"].affine)
    bright = result["image"].as_tensor() > 700
    assert (mask.bool().as_tensor() != bright).sum() < 0.08 * bright.sum()
    assert int(mask.sum()) * 1.875**2 == pytest.approx(2 * 10 * 12 * 9, rel=0.05)


def test_a_scan_without_a_mask_is_fine():
    data = {"image": as_image(make_head((20, 24, 3), (8, 8, 20)), (8, 8, 20))}
    assert set(ResampleInPlaned("image", label_keys="label")(data)) == {"image"}


def test_several_images_resample_a_mask_once():
    head = make_head((40, 48, 3), (5, 5, 30))
    data = {
        "image": as_image(head, (5, 5, 30)),
        "other": as_image(head, (5, 5, 30)),
        "label": as_image(head, (5, 5, 30)),
    }
    one = ResampleInPlaned("image", label_keys="label")(dict(data))
    two = ResampleInPlaned(["image", "other"], label_keys="label")(dict(data))
    assert torch.equal(one["label"].as_tensor(), two["label"].as_tensor())
    assert len(two["label"].applied_operations) == 1


@pytest.mark.parametrize("turn", [None, OBLIQUE])
def test_a_mask_of_another_grid_is_refused(turn):
    head = make_head((20, 24, 3), (8, 8, 20))
    image = as_image(head, (8, 8, 20), turn)
    transform = ResampleInPlaned("image", label_keys="label")
    with pytest.raises(InputError, match=r"scan.nii.gz: expected a mask on the grid of .*\(20, 24, 2\)"):
        transform({"image": image, "label": as_image(head[..., :2], (8, 8, 20), turn)})
    moved = as_image(head, (8, 8, 20), turn)
    moved.affine[0, 3] += 5.0
    with pytest.raises(InputError, match="found one that lies up to 5 mm off"):
        transform({"image": image, "label": moved})
    moved.affine[0, 3] -= 4.0
    assert transform({"image": image, "label": moved})["label"].shape == (1, 128, 128, 3)


def test_an_image_that_is_no_volume_is_refused():
    with pytest.raises(InputError, match="scan.nii.gz: expected a 3-D volume"):
        resample(MetaTensor(torch.zeros(1, 8, 8), meta={"filename_or_obj": "/data/scan.nii.gz"}))


def test_turned_fine_scans_are_averaged_over_whole_pixels_too() -> None:
    head = make_box((256, 256, 2), slice(0, 256), slice(0, 256))
    head[:4], head[-4:], head[:, :4], head[:, -4:] = 0, 0, 0, 0
    noise = head + (head > 0) * np.random.default_rng(0).normal(0, 10, head.shape)
    for angle in (1, 4, 7, 10, 13, 16):
        image = as_image(noise, (0.46875, 0.46875, 5), rotation(angle, 2 * angle))
        image.affine = image.affine.float().double()  # as a NIfTI header keeps it
        resampled = ResampleInPlaned("image")({"image": image})["image"]
        assert float(resampled[0, 44:84, 44:84].std()) == pytest.approx(2.5, rel=0.05), angle
