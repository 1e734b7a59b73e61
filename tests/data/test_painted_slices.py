"""Validation slices with painted lesions: what is kept, what is labelled, the same every time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from scripts.data.lesion_ranges import LesionRanges
from scripts.data.painted_slices import paint_slices
from scripts.data.slices import SliceDataset, SliceLabel
from scripts.data.synthetic_lesions import RandSyntheticLesiond

LABELS = [0, 1, 0, -1, 0, 0]


def make_dataset() -> SliceDataset:
    """Return six slices, discs of noise; two of them not lesion-free. Made without files."""
    generator = torch.Generator().manual_seed(0)
    place = torch.linspace(-1, 1, 64)
    disc = place[:, None].square() + place[None].square() < 0.8
    dataset = SliceDataset.__new__(SliceDataset)
    dataset.images = (0.3 + 0.2 * torch.rand(6, 1, 64, 64, generator=generator)) * disc
    dataset.masks = torch.zeros(6, 1, 64, 64, dtype=torch.uint8)
    dataset.facts = pd.DataFrame(
        {
            "case": [f"c{n}" for n in range(6)],
            "patient": "p",
            "slice": range(6),
            "level": np.linspace(0, 1, 6),
            "lesion_mm2": [0.0, 90.0, 0.0, 3.0, 0.0, 0.0],
            "label": LABELS,
        }
    )
    return dataset


def painter(**ranges) -> RandSyntheticLesiond:
    strong = {"contrast": (0.4, 0.6), "strength": (1.0, 1.0), "radius": (6.0, 12.0)} | ranges
    return RandSyntheticLesiond(prob=1.0, ranges=LesionRanges(**strong))


def test_every_lesion_free_slice_is_there_as_it_was_and_painted() -> None:
    source = make_dataset()
    both = paint_slices(source, painter(), field_of_view=240.0)
    free = torch.tensor([index for index, label in enumerate(LABELS) if label == 0])
    assert both.facts["label"].tolist() == [0] * 4 + [1] * 4
    assert both.facts["case"].tolist() == ["c0", "c2", "c4", "c5"] * 2
    assert torch.equal(both.images[:4], source.images[free])
    assert not both.masks[:4].any()
    changed = (both.images[4:] - source.images[free]).abs().flatten(1).amax(dim=1)
    assert (changed > 0.05).all()


def test_areas_are_those_of_the_masks_in_mm2() -> None:
    both = paint_slices(make_dataset(), painter(), field_of_view=128.0)
    pixels = both.masks.flatten(1).sum(dim=1).numpy()
    np.testing.assert_allclose(both.facts["lesion_mm2"], pixels * (128.0 / 64) ** 2)


def test_a_lesion_that_does_not_show_makes_no_abnormal_slice() -> None:
    faint = painter(contrast=(0.0, 0.001), strength=(0.0, 0.01), mass_effect_share=0.0, core_share=0.0)
    both = paint_slices(make_dataset(), faint, field_of_view=240.0)
    assert both.facts["label"].tolist() == [SliceLabel.NORMAL] * 4
    assert len(both.images) == len(both.masks) == 4


def test_the_same_seed_paints_the_same() -> None:
    first, again, other = (
        paint_slices(make_dataset(), painter(), field_of_view=240.0, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first.images, again.images)
    assert first.facts.equals(again.facts)
    assert not torch.equal(first.images, other.images)


def test_the_data_set_it_came_from_stays_as_it_was() -> None:
    source = make_dataset()
    images, facts = source.images.clone(), source.facts.copy()
    paint_slices(source, painter(), field_of_view=240.0)
    assert torch.equal(source.images, images)
    assert source.facts.equals(facts)
