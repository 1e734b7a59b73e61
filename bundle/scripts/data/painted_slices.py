"""Validation without masks: every lesion-free slice once as it is, and once with painted lesions."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.transforms import Compose
from monai.utils import CommonKeys

from scripts.data.slices import SliceDataset, SliceLabel, SliceSelection, slice_label
from scripts.data.synthetic_lesions import LESION, RandSyntheticLesiond
from scripts.errors import InputError


def load_painted_slices(
    data: Sequence[Mapping[str, Any]],
    transform: Compose,
    lesions: RandSyntheticLesiond,
    field_of_view: float,
    cache_dir: str | None = None,
    assume_normal: bool = False,
) -> SliceDataset:
    """Return the lesion-free slices of scans, and the same with painted lesions.

    Args:
        data: records of validation scans.
        transform: see :class:`SliceDataset`, as ``cache_dir`` and ``assume_normal``.
        lesions: see :func:`paint_slices`, as ``field_of_view``.
        field_of_view: side of a slice, mm.
        cache_dir: folder of the cache.
        assume_normal: take the slices of scans without a mask as lesion-free.

    Raises:
        InputError: no lesion shows.
    """
    slices = SliceDataset(data, transform, cache_dir, SliceSelection.NORMAL, assume_normal=assume_normal)
    painted = paint_slices(slices, lesions, field_of_view)
    if not (painted.facts["label"] == SliceLabel.ABNORMAL).any():
        raise InputError(
            f"Expected painted lesions that show in {len(slices)} validation slices, got none, so nothing "
            "could choose the weights; give larger or stronger --lesion_ranges, or more validation patients."
        )
    return painted


def paint_slices(
    dataset: SliceDataset, lesions: RandSyntheticLesiond, field_of_view: float, seed: int = 0
) -> SliceDataset:
    """Return the lesion-free slices of ``dataset``, followed by their painted copies with masks and labels.

    The copies are the same for the same seed; one whose lesion does not show is left out. Labels and areas
    are those of the painted lesions, so metrics of real lesions measure painted ones; no real mask is looked
    at beyond leaving slices out.

    Args:
        dataset: slices of validation patients.
        lesions: paints, with ``prob`` 1.
        field_of_view: side of a slice, mm.
        seed: of the lesions.
    """
    normal = dataset.subset((dataset.facts["label"] == SliceLabel.NORMAL).to_numpy())
    lesions.set_random_state(seed)
    painted = lesions({CommonKeys.IMAGE: normal.images})
    images, masks = torch.as_tensor(painted[CommonKeys.IMAGE]), torch.as_tensor(painted[LESION])
    area = masks.flatten(1).sum(dim=1).double() * (field_of_view / images.shape[-1]) ** 2
    facts = normal.facts.assign(lesion_mm2=area.numpy(), label=[slice_label(one) for one in area.tolist()])
    shown = np.flatnonzero(facts["label"] == SliceLabel.ABNORMAL)
    both = copy.copy(normal)
    both.facts = pd.concat([normal.facts, facts.iloc[shown]], ignore_index=True)
    both.images = torch.cat([normal.images, images[torch.from_numpy(shown)]])
    both.masks = torch.cat([torch.zeros_like(masks), masks[torch.from_numpy(shown)]])
    return both
