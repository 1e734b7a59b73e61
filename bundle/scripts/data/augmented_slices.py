"""Training slices that are drawn anew every time they are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monai.data import get_track_meta, set_track_meta
from torch.utils.data import Dataset

from scripts.data.slices import SliceDataset


class AugmentedSlices(Dataset):
    """The items of a :class:`SliceDataset`, whose tensors are shared, with their images augmented.

    Args:
        slices: what is augmented.
        augment: transform of a single ``{"image": (C, H, W)}`` slice; what it returns is in the item too.
    """

    def __init__(self, slices: SliceDataset, augment: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.slices, self.augment = slices, augment

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the item of the slice, see :meth:`SliceDataset.__getitem__`, augmented."""
        item = self.slices[index]
        with _without_metadata():
            return {**item, **self.augment({"image": item["image"]})}


@contextmanager
def _without_metadata() -> Iterator[None]:
    """Let MONAI's transforms keep to plain tensors: the rest is a quarter of an augmentation's time."""
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(tracked)
