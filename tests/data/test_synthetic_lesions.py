from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy.ndimage import gaussian_filter, uniform_filter
from torch.nn.functional import max_pool2d

from scripts.data import lesion_shapes
from scripts.data.lesion_appearance import BLUR, LesionAppearance, draw_appearance
from scripts.data.lesion_appearance import paint as paint_one
from scripts.data.lesion_mass_effect import push_away
from scripts.data.lesion_ranges import LesionPart, LesionRanges
from scripts.data.lesion_shapes import LesionShape, draw_shape, head_depth
from scripts.data.synthetic_lesions import AROUND, VISIBLE, RandSyntheticLesiond
from scripts.errors import InputError
from tests.small_networks import small_images

SEEDS = range(8)


def make_slice(channels: int = 2, size: int = 96) -> torch.Tensor:
    """Return waves in [0.2, 0.6] on a disc, each channel its own, 0 around it: (channels, size, size)."""
    place = torch.linspace(-1, 1, size)
    head = place[:, None].square() + 0.8 * place[None, :].square() < 0.7
    waves = [torch.sin((9 + n) * place)[:, None] * torch.cos((7 - n) * place)[None] for n in range(channels)]
    return (0.4 + 0.2 * torch.stack(waves)) * head


OPAQUE = {"strength": (1.0, 1.0), "softness": (0.5, 0.5), "mass_effect_share": 0.0}
IMAGE = make_slice()
HEAD = (IMAGE > 0).any(dim=0)


def paint(seed: int, image: torch.Tensor = IMAGE, prob: float = 1.0, **arguments) -> dict:
    given = {name: arguments.pop(name) for name in ("parts", "bank") if name in arguments}
    ranges = LesionRanges(**{"radius": (6.0, 12.0), "margin": (6.0, 12.0), "count": (1, 1), **arguments})
    transform = Compose([RandSyntheticLesiond("image", prob=prob, ranges=ranges, **given)])
    transform.set_random_state(seed)
    return transform({"image": image.clone(), "label": 1})


def others(part: LesionPart) -> list[LesionPart]:
    return [one for one in LesionPart if one is not part]


def change(seed: int, **arguments) -> torch.Tensor:
    return paint(seed, **arguments)["image"] - IMAGE


# --- image and mask ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_background_stays_0_and_foreground_in_0_to_1(seed: int) -> None:
    # The strongest contrast, to reach both ends.
    output = paint(seed, contrast=(1.0, 1.0), strength=(1.0, 1.0), count=(2, 4), radius=(10.0, 30.0))
    assert (output["image"][:, ~HEAD] == 0).all()
    assert (output["image"][:, HEAD] > 0).all()
    assert output["image"].max() <= 1
    assert not output["lesion"][:, ~HEAD].any()


def grow(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """Return the pixels (X, Y) within ``reach`` of a mask's."""
    return max_pool2d(mask[None].float(), 2 * reach + 1, stride=1, padding=reach)[0].bool()


@pytest.mark.parametrize("contrast", [(0.08, 0.68), (0.4, 0.68)])
@pytest.mark.parametrize("seed", SEEDS)
def test_mask_is_the_visible_change_up_to_the_soft_border(seed: int, contrast: tuple[float, float]) -> None:
    output = paint(seed, contrast=contrast, **OPAQUE)
    changed = (output["image"] - IMAGE).abs().amax(dim=0)
    visible = changed > VISIBLE
    around = torch.from_numpy(uniform_filter(changed.numpy(), AROUND)) > VISIBLE
    mask = output["lesion"][0].bool()
    assert output["lesion"].shape == (1, *HEAD.shape)
    assert output["lesion"].dtype == torch.uint8
    assert mask.any()
    assert not (mask & ~grow(visible, AROUND // 2)).any()
    assert not (mask & ~around).any()
    assert not (visible & around & ~grow(mask, 1)).any()


def test_what_cannot_be_seen_is_in_no_mask() -> None:
    faint = {"contrast": (0.0, 0.0), "patch_share": 0.0, "ring_share": 0.0, "strength": (0.0, 0.05)}
    output = paint(0, mass_effect_share=0.0, **faint)
    assert (output["image"] != IMAGE).any()
    assert not output["lesion"].any()


def test_the_middle_of_an_opaque_lesion_is_all_in_its_mask() -> None:
    output = paint(0, contrast=(0.6, 0.6), strength=(1.0, 1.0), patch_share=0.0, mass_effect_share=0.0)
    mask = output["lesion"][0].numpy().astype(bool)
    area = mask.sum()
    assert np.pi * 5**2 < area < np.pi * 16**2
    assert (head_depth(mask) > 0).sum() < 1.05 * area  # filled, it has hardly more pixels


def test_several_channels_share_the_geometry_and_each_has_its_own_shift() -> None:
    arguments = {"strength": (1.0, 1.0), "contrast": (0.4, 0.6), "patch_share": 0.0, "mass_effect_share": 0.0}
    changes = [change(seed, **arguments) for seed in SEEDS]
    touched = [(one != 0).flatten(1) for one in changes]
    assert all(torch.equal(first, second) for first, second in touched)
    signs = [one.sum(dim=(1, 2)).sign() for one in changes]
    assert {float(first * second) for first, second in signs} == {-1.0, 1.0}


def test_more_lesions_cover_more() -> None:
    areas = [sum(paint(seed, count=(n, n))["lesion"].sum() for seed in SEEDS) for n in (1, 4)]
    assert areas[1] > 1.5 * areas[0]


def test_radius_bounds_the_area() -> None:
    areas = [max(int(paint(seed, radius=(r, r))["lesion"].sum()) for seed in SEEDS) for r in (4.0, 16.0)]
    assert 10 < areas[0] < 2 * np.pi * 4**2 < areas[1]


# --- chance ------------------------------------------------------------------------------------------


def test_a_batch_is_painted_as_its_slices_in_turn() -> None:
    batch = torch.stack([IMAGE, IMAGE.flip(1), IMAGE.flip(2), IMAGE / 2])
    transforms = [RandSyntheticLesiond("image", prob=0.6).set_random_state(2) for _ in range(2)]
    together = transforms[0]({"image": batch})
    alone = [transforms[1]({"image": image}) for image in batch]
    assert 0 < sum(bool(one["lesion"].any()) for one in alone) < len(batch)
    assert torch.equal(together["image"], torch.stack([one["image"] for one in alone]))
    assert torch.equal(together["lesion"], torch.stack([one["lesion"] for one in alone]))
    assert together["lesion"].shape == (4, 1, *HEAD.shape)
    assert together["lesion"].dtype == torch.uint8


def test_a_seed_gives_the_same_lesion_and_every_call_another() -> None:
    first, second = paint(3), paint(3)
    assert torch.equal(first["image"], second["image"])
    assert torch.equal(first["lesion"], second["lesion"])
    transform = RandSyntheticLesiond("image", prob=1.0).set_random_state(0)
    calls = [transform({"image": IMAGE})["lesion"] for _ in range(2)]
    assert not torch.equal(*calls)


def test_without_a_lesion_the_slice_is_as_it_was_and_the_mask_empty() -> None:
    output = paint(0, prob=0.0)
    assert torch.equal(output["image"], IMAGE)
    assert output["lesion"].shape == (1, *HEAD.shape)
    assert not output["lesion"].any()
    assert output["label"] == 1


def test_an_empty_slice_gets_no_lesion() -> None:
    output = paint(0, image=torch.zeros_like(IMAGE))
    assert not output["image"].any()
    assert not output["lesion"].any()


def test_prob_is_the_share_of_slices_with_lesions() -> None:
    transform = RandSyntheticLesiond("image", prob=0.3).set_random_state(0)
    drawn = [bool((transform({"image": IMAGE})["image"] != IMAGE).any()) for _ in range(200)]
    assert 0.2 < np.mean(drawn) < 0.4


def test_the_input_is_not_written_to_and_keeps_its_type() -> None:
    image = MetaTensor(IMAGE.clone(), meta={"case": "one"})
    output = RandSyntheticLesiond("image", prob=1.0).set_random_state(0)({"image": image})
    assert torch.equal(image.as_tensor(), IMAGE)
    assert output["image"].meta["case"] == "one"
    assert not torch.equal(output["image"].as_tensor(), IMAGE)


# --- parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_only_mass_effect_changes_what_lies_around_a_lesion(seed: int) -> None:
    arguments = {"mass_effect": (0.35, 0.35), "mass_effect_share": 1.0, "softness": (0.5, 0.5)}
    without = change(seed, parts=others(LesionPart.MASS_EFFECT), **arguments)
    around = (without == 0).all(dim=0)
    assert (change(seed, **arguments)[:, around] != 0).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ring_is_bright_and_lies_at_the_border(seed: int) -> None:
    arguments = {"ring_share": 1.0, "patch_share": 0.0, "contrast": (0.5, 0.5), **OPAQUE}
    added = change(seed, **arguments) - change(seed, parts=others(LesionPart.RING), **arguments)
    assert added.max() > 0.05
    assert added.min() > -1e-5
    alone = change(seed, parts=["ring"], **arguments)
    assert alone.max() > 0.05
    assert alone.min() > -1e-5
    ranges = LesionRanges(count=(1, 1), radius=(6.0, 12.0), ring_share=1.0)
    transform = RandSyntheticLesiond("image", prob=1.0, parts=["ring"], ranges=ranges)
    output = transform.set_random_state(seed)({"image": IMAGE})
    depth = torch.from_numpy(transform.lesions[0].shape.depth)
    place = depth[(output["image"] != IMAGE).any(dim=0)]
    # A ring is 3 pixels wide at most, and its sides are soft over one pixel.
    assert -1 <= place.min() < place.max() <= 4


def test_a_patch_is_tissue_of_the_bank() -> None:
    bank = torch.full((1, *IMAGE.shape), 0.9)
    arguments = {"patch_share": 1.0, "ring_share": 0.0, **OPAQUE}
    for seed in SEEDS:
        output = paint(seed, bank=bank, **arguments)
        middle = torch.from_numpy(head_depth(output["lesion"][0].numpy() > 0) > 4)
        assert middle.any()
        assert torch.allclose(output["image"][:, middle], torch.tensor(0.9), atol=1e-5)
    without = paint(0, bank=bank, parts=others(LesionPart.PATCH), **arguments)
    assert not torch.equal(without["image"], paint(0, bank=bank, **arguments)["image"])
    assert torch.equal(without["image"], paint(0, bank=bank, **{**arguments, "patch_share": 0.0})["image"])


def test_without_a_bank_a_patch_holds_values_of_the_slice_itself() -> None:
    arguments = {"patch_share": 1.0, "ring_share": 0.0, **OPAQUE}
    output = paint(1, **arguments)
    middle = torch.from_numpy(head_depth(output["lesion"][0].numpy() > 0) > 4)
    values = output["image"][0, middle]
    assert len(values) > 10
    assert torch.isclose(values[:, None], IMAGE[0].unique()[None], atol=1e-6).any(dim=1).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_intensity_tissue_stays(seed: int) -> None:
    arguments = {"patch_share": 0.0, "ring_share": 0.0, "mass_effect_share": 0.0}
    assert (change(seed, **arguments) != 0).any()
    assert not change(seed, parts=others(LesionPart.INTENSITY), **arguments).any()


@pytest.mark.parametrize(
    ("part", "share"),
    [("ring", "ring_share"), ("patch", "patch_share"), ("mass_effect", "mass_effect_share")],
)
def test_leaving_a_part_out_equals_its_share_at_0(part: str, share: str) -> None:
    for seed in SEEDS:
        without = paint(seed, parts=others(LesionPart(part)), **{share: 1.0})
        assert torch.equal(without["image"], paint(seed, **{share: 0.0})["image"])
        assert not torch.equal(without["image"], paint(seed, **{share: 1.0})["image"])


@pytest.mark.parametrize("seed", SEEDS)
def test_mass_effect_ends_two_radii_from_the_centre(seed: int) -> None:
    ranges = LesionRanges((1, 1), (6.0, 12.0), mass_effect=(0.35, 0.35), mass_effect_share=1.0)
    transform = RandSyntheticLesiond("image", prob=1.0, ranges=ranges, parts=["mass_effect"])
    output = transform.set_random_state(seed)({"image": IMAGE})
    shape = transform.lesions[0].shape
    rows, columns = torch.nonzero((output["image"] != IMAGE).any(dim=0)).numpy().T
    assert len(rows) > 10
    assert np.hypot(rows - shape.centre[0], columns - shape.centre[1]).max() <= 2 * shape.radius


def test_leaving_parts_out_leaves_later_slices_with_the_same_lesions() -> None:
    whole, bare = (
        RandSyntheticLesiond("image", prob=0.5, parts=parts).set_random_state(5)
        for parts in (tuple(LesionPart), ["intensity"])
    )
    drawn = 0
    for _ in range(10):
        for transform in (whole, bare):
            transform({"image": IMAGE})
        assert len(whole.lesions) == len(bare.lesions)
        for first, second in zip(whole.lesions, bare.lesions, strict=True):
            assert np.array_equal(first.shape.depth, second.shape.depth)
            drawn += 1
    assert drawn > 2


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[], ["oedema"]])
def test_no_part_and_an_unknown_part_are_refused(parts: list[str]) -> None:
    with pytest.raises(InputError, match="intensity, ring, patch, mass_effect"):
        RandSyntheticLesiond("image", parts=parts)


@pytest.mark.parametrize(
    "wrong",
    [{"count": (0, 2)}, {"radius": (9.0, 3.0)}, {"ring_share": 1.5}, {"mass_effect": (0, 1)}],
)
def test_ranges_out_of_order_or_bounds_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        LesionRanges(**wrong)


def test_a_bank_of_other_slices_is_refused() -> None:
    with pytest.raises(InputError, match="bank of slices"):
        RandSyntheticLesiond("image", prob=1.0, bank=torch.ones(1, 1, 8, 8))({"image": IMAGE})


def test_draws_have_the_distributions_that_the_ranges_say() -> None:
    random, ranges = np.random.RandomState(0), LesionRanges()
    looks = [draw_appearance((1, 8, 8), ranges, random) for _ in range(2000)]
    shifts = np.array([look.shifts[0] for look in looks])
    assert (shifts < 0).mean() == pytest.approx(ranges.darker_share, abs=0.03)
    low, high = ranges.contrast
    assert np.median(np.abs(shifts)) == pytest.approx(low + (high - low) / 4, abs=0.02)  # squared: small ones
    head = head_depth(np.ones((64, 64), bool))
    shapes = [draw_shape(head, ranges.radius, (4.0, 12.0), random) for _ in range(300)]
    assert np.median([one.radius for one in shapes]) == pytest.approx(
        np.sqrt(np.prod(ranges.radius)), rel=0.2
    )
    depths = [head[tuple(one.centre)] for one in shapes]
    assert min(depths) > 4
    assert min(draw_shape(head, (9.0, 9.0), (20.0, 20.0), random).centre.min() for _ in range(50)) >= 16
    shallow = head_depth(np.ones((16, 16), bool))
    assert shallow[tuple(draw_shape(shallow, (9.0, 9.0), (20.0, 20.0), random).centre)] > 4


def test_the_number_of_lesions_reaches_both_ends_and_patches_come_from_the_whole_bank() -> None:
    image = small_images(1, size=64)[0]
    bank = torch.stack([torch.full_like(image, value) for value in (0.2, 0.5, 0.8)])
    transform = RandSyntheticLesiond("image", prob=1.0, bank=bank).set_random_state(0)
    counts, sources = set(), set()
    for _ in range(30):
        transform({"image": image})
        counts.add(len(transform.lesions))
        sources |= {round(float(lesion.source[0, 0, 0]), 1) for lesion in transform.lesions}
    assert (counts, sources) == ({1, 2, 3}, {0.2, 0.5, 0.8})


def test_tissue_moves_away_from_the_centre_by_the_formula() -> None:
    rows = np.broadcast_to(np.arange(65, dtype=np.float32)[:, None], (65, 65))[None]
    for depth, yields in ((4.0, 0.5), (20.0, 1.0)):
        head = np.full((65, 65), depth, np.float32)
        pushed = push_away(rows, head, LesionShape(np.array([32, 32]), 8.0, head), 0.35)
        pull = 0.35 * (1 - 4**2 / 16**2) ** 2 * yields
        assert pushed[0, 36, 32] == pytest.approx(36 - 4 * pull, abs=1e-3)


def test_changed_tissue_is_the_mix_that_its_look_says() -> None:
    image = (0.2 + 0.6 * np.random.default_rng(0).random((2, 40, 40))).astype(np.float32)
    shape = LesionShape(np.array([20, 20]), 10.0, np.full((40, 40), 10.0, np.float32))
    texture = np.random.default_rng(1).normal(0, 0.03, image.shape).astype(np.float32)
    shifts, none = np.array([0.3, -0.2]), np.zeros((1, 1, 1), np.float32)
    look = LesionAppearance(1.0, 0.5, 0.7, shifts, texture, 0.5, 0.4, 0.0, 0.0, False)
    found = paint_one(image, shape, look, none, [LesionPart.INTENSITY])
    for one, channel, shift, rough in zip(found, image, shifts, texture, strict=True):
        tissue = channel + 0.7 * (gaussian_filter(channel, BLUR) - channel)
        np.testing.assert_allclose(one, tissue + channel.mean() * (shift + rough - 0.4), atol=1e-5)


def test_borders_are_rough(monkeypatch: pytest.MonkeyPatch) -> None:
    head = head_depth(np.ones((64, 64), bool))
    rough = draw_shape(head, (10.0, 10.0), (4.0, 4.0), np.random.RandomState(0))
    monkeypatch.setattr(lesion_shapes, "ROUGHNESS", {5: 0.0, 12: 0.0})
    smooth = draw_shape(head, (10.0, 10.0), (4.0, 4.0), np.random.RandomState(0))
    ratio = np.log((1.001 - rough.depth / 10) / (1.001 - smooth.depth / 10))
    assert 0.08 < ratio.std() < 0.3
