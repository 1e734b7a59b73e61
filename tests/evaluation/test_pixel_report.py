from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.metrics import average_precision_score

from scripts.errors import InputError
from scripts.evaluation.overlap import count_overlap
from scripts.evaluation.pixel_counts import count_pixels, region_shares
from scripts.evaluation.pixel_curves import best_dice, pixel_average_precision, region_overlap
from scripts.evaluation.pixel_report import evaluate_pixels, rank_pixels


def make_maps(seed=0, patients=6, slices=3, size=24, steps=None):
    """Two square lesions in every slice but each patient's first, in maps that see them dimly."""
    generator = np.random.default_rng(seed)
    count = patients * slices
    masks = np.zeros((count, size, size), dtype=np.uint8)
    for index in range(count):
        if index % slices:
            row, column = generator.integers(2, size - 12, 2)
            masks[index, row : row + 3 + index % 4, column : column + 4] = 1
            masks[index, row + 9 : row + 11, column + 5 : column + 7] = 1
    foreground = np.ones_like(masks, dtype=bool)
    foreground[:, :2] = False
    maps = generator.normal(masks).astype(np.float32)
    if steps is not None:
        maps = np.round(maps * steps) / np.float32(steps)
    return maps, masks, foreground, np.repeat([f"p{index}" for index in range(patients)], slices)


def slow_aupro(maps, masks, foreground, largest=0.3):
    """Return the area with a loop over every threshold and every region."""
    regions = []
    for index, mask in enumerate(masks * foreground):
        found, count = label(mask, structure=np.ones((3, 3)))
        regions += [maps[index][found == number] for number in range(1, count + 1)]
    normal = maps[foreground & (masks == 0)]
    curve = [(0.0, 0.0)]
    for threshold in np.unique(maps[foreground])[::-1]:
        shares = [(region >= threshold).mean() for region in regions]
        curve.append((float((normal >= threshold).mean()), float(np.mean(shares))))
    area = 0.0
    for (left, low), (right, high) in pairwise(curve):
        stop = min(right, largest)
        if right > left and stop > left:
            area += (stop - left) * (low + low + (high - low) * (stop - left) / (right - left)) / 2
    return area / largest


@pytest.mark.parametrize("steps", [None, 4])
def test_exact_counts_give_the_figures_of_slow_references(steps):
    maps, masks, foreground, _ = make_maps(steps=steps)
    counts = count_pixels(maps, masks, foreground)
    is_lesion, values = masks[foreground] != 0, maps[foreground]
    assert pixel_average_precision(counts) == pytest.approx(average_precision_score(is_lesion, values))
    dices = [
        2 * (is_lesion & (values >= threshold)).sum() / (is_lesion.sum() + (values >= threshold).sum())
        for threshold in np.unique(values)
    ]
    assert best_dice(counts) == pytest.approx(max(dices))
    assert region_overlap(counts) == pytest.approx(slow_aupro(maps, masks, foreground))


def test_bins_change_figures_by_less_than_their_width():
    maps, masks, foreground, patients = make_maps()
    exact, binned = (
        count_pixels(maps, masks, foreground),
        count_pixels(maps, masks, foreground, patients, 512),
    )
    for figure in (pixel_average_precision, best_dice, region_overlap):
        assert figure(binned) == pytest.approx(figure(exact), abs=0.01)


@pytest.mark.parametrize("lesion_pixels", [1, 4, 100])
def test_interval_of_few_lesion_pixels_holds_their_figure(lesion_pixels):
    """All of a small lesion lies in one bin of all pixels, beside normal ones that it is told from."""
    generator = np.random.default_rng(0)
    maps = generator.random((6, 100, 100))
    masks = np.zeros(maps.shape, dtype=np.uint8)
    masks.reshape(6, -1)[:, :lesion_pixels] = 1
    maps[masks > 0] += 1
    row = rank_pixels(maps, masks, np.ones_like(masks), np.arange(6), bootstrap_samples=50)
    for figure in ("ap_pixel", "dice_oracle", "aupro"):
        assert row[figure] == pytest.approx(1)
        assert row[f"{figure}_high"] == pytest.approx(1)


@pytest.mark.parametrize("figure", [pixel_average_precision, best_dice, region_overlap])
def test_resampled_counts_are_those_of_repeated_patients(figure):
    maps, masks, foreground, patients = make_maps(steps=4)
    counts = count_pixels(maps, masks, foreground, patients, 10_000)
    rows = [0, 3, 3, 5]
    slices = np.concatenate([np.flatnonzero(patients == counts.patients[row]) for row in rows])
    repeated = count_pixels(maps[slices], masks[slices], foreground[slices])
    assert figure(counts, rows) == pytest.approx(figure(repeated))


@pytest.mark.parametrize("figure", [pixel_average_precision, best_dice, region_overlap])
def test_increasing_transforms_and_order_change_nothing(figure):
    maps, masks, foreground, _ = make_maps(steps=8)
    expected = figure(count_pixels(maps, masks, foreground))
    order = np.random.default_rng(1).permutation(len(maps))
    moved = count_pixels(np.exp(maps[order]), masks[order], foreground[order])
    assert figure(moved) == pytest.approx(expected)


def test_perfect_maps_reach_one_and_constant_ones_chance():
    _, masks, foreground, _ = make_maps()
    counts = count_pixels(masks, masks, foreground)
    assert pixel_average_precision(counts) == best_dice(counts) == 1
    assert region_overlap(counts) == pytest.approx(1)
    assert region_overlap(count_pixels(0 * masks, masks, foreground)) == pytest.approx(0.15)


def test_small_regions_count_as_much_as_large_ones():
    masks = np.zeros((1, 8, 8), dtype=np.uint8)
    masks[0, 0, 0] = masks[0, 1, 1] = 1  # corners touch: one region
    masks[0, 4:, 4:] = 1
    assert region_shares(masks)[0, 0, 0] == 0.5
    assert region_shares(masks)[0, 5, 5] == 1 / 16
    maps = np.zeros((1, 8, 8))
    maps[0, :2, :2] = np.eye(2)
    # One of two regions is found without a false pixel, the other at a rate of 1.
    counts = count_pixels(maps, masks, np.ones((1, 8, 8)))
    assert region_overlap(counts) == pytest.approx(np.mean([0.5, 0.5 + 0.5 * 0.3]))


def test_dice_at_a_threshold_is_known_and_leaves_the_background_out():
    maps = np.array([[[3.0, 3.0], [2.0, 9.0]], [[1.0, 5.0], [0.0, 0.0]]])
    masks = np.array([[[1, 0], [1, 1]], [[0, 0], [0, 0]]])
    foreground = np.array([[[1, 1], [1, 0]], [[1, 1], [1, 1]]])
    overlap = count_overlap(maps, masks, foreground, ["a", "b"], threshold=2.0)
    assert overlap.dice() == pytest.approx(2 / (2 + 2 + 1))
    assert overlap.dice([0]) == pytest.approx(2 / (2 + 1 + 1))
    assert overlap.dice([1]) is None
    assert overlap.dice([0, 0]) == overlap.dice([0])


def test_row_holds_exact_values_within_their_intervals():
    maps, masks, foreground, patients = make_maps()
    row = evaluate_pixels(maps, masks, foreground, patients, threshold=1.0, bootstrap_samples=50)
    assert row["ap_pixel"] == pixel_average_precision(count_pixels(maps, masks, foreground))
    assert row["dice"] == count_overlap(maps, masks, foreground, patients, 1.0).dice()
    assert row["dice"] <= row["dice_oracle"]
    for metric in ("ap_pixel", "aupro", "dice", "dice_oracle"):
        assert row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"]
    assert row["pixel_prevalence"] == pytest.approx((masks[foreground] != 0).mean())
    assert row["undefined"] == ""


def test_nothing_to_find_and_no_threshold_give_null_and_reasons():
    maps, masks, foreground, patients = make_maps()
    row = evaluate_pixels(maps, 0 * masks, foreground, patients, None, "never calibrated", 20)
    assert row["ap_pixel"] is row["aupro"] is row["dice"] is row["dice_oracle"] is None
    assert row["undefined"] == (
        "ap_pixel, aupro, dice_oracle: no lesion pixel in the foreground; dice: never calibrated"
    )
    json.dumps(row, allow_nan=False)


def test_without_a_slice_nothing_is_known():
    maps, masks, foreground, patients = (one[:0] for one in make_maps())
    row = evaluate_pixels(maps, masks, foreground, patients, 0.5, bootstrap_samples=20)
    assert {value for name, value in row.items() if name not in ("pixel_threshold", "undefined")} == {None}
    assert row["undefined"] == "ap_pixel, aupro, dice_oracle, pixel_prevalence, dice: no mask"


def test_lesions_of_few_patients_have_no_interval():
    maps, masks, foreground, patients = make_maps()
    masks[np.isin(patients, ["p4", "p5"])] = 0
    row = evaluate_pixels(maps, masks, foreground, patients, 1.0, bootstrap_samples=20)
    for metric in ("ap_pixel", "aupro", "dice", "dice_oracle"):
        assert row[metric] is not None
        assert row[f"{metric}_low"] is row[f"{metric}_high"] is None


def test_what_is_found_only_above_the_largest_rate_is_outside_of_aupro():
    # Three of ten normal pixels come first, the lesion next: found at a rate of 0.3 or more, not before.
    values = np.arange(11.0)[::-1].reshape(1, 1, 11)
    masks = np.zeros_like(values)
    masks[0, 0, 3] = 1
    assert region_overlap(count_pixels(values, masks, np.ones_like(values))) == 0


def test_wrong_input_is_refused_with_its_reason():
    ones = np.ones((2, 4, 4))
    with pytest.raises(InputError, match=r"of one shape \(N, X, Y\)"):
        count_pixels(ones, ones[:1], ones)
    with pytest.raises(InputError, match="some foreground"):
        count_pixels(ones, ones, 0 * ones)
    with pytest.raises(InputError, match="finite map values"):
        count_overlap(np.nan * ones, ones, ones, ["a", "b"], 0.5)


def test_a_region_at_the_border_counts_as_one_of_what_is_left_of_it() -> None:
    mask, foreground = np.ones((1, 2, 4)), np.ones((1, 2, 4))
    foreground[:, 0] = 0
    assert count_pixels(mask, mask, foreground).regions.sum() == pytest.approx(1)
