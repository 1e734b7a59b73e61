"""From volumes to slices: the currency that training, evaluation and every baseline share."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, PersistentDataset
from monai.data.utils import pickle_hashing
from monai.transforms import Compose, MapTransform
from monai.utils import ensure_tuple
from torch.utils.data import Dataset
from tqdm import tqdm

from scripts import BUNDLE_ROOT
from scripts.data.given_scans import name_scan
from scripts.data.layouts_files import find_brain_masks
from scripts.errors import InputError

logger = logging.getLogger(__name__)

MIN_FOREGROUND = 0.10
"""A brain slice has at least this fraction of the field of view as foreground."""

MIN_LESION_MM2 = 50.0
"""An abnormal slice has at least this lesion area on the original grid, mm^2."""


class SliceSelection(StrEnum):
    """Which slices of the scans a data set holds."""

    ALL = "all"
    """Every brain slice."""
    NORMAL = "normal"
    """Brain slices without any lesion: what unsupervised training may see. A mask must say so, see
    ``assume_normal`` of :class:`SliceDataset`."""


class SliceLabel:
    """Values of the ``label`` column of the slice facts."""

    NORMAL = 0
    ABNORMAL = 1
    UNKNOWN = -1


def brain_slices(image: torch.Tensor | np.ndarray) -> np.ndarray:
    """Return the indices of the slices of a normalised (C, X, Y, Z) volume that show enough brain."""
    foreground = np.asarray(image).max(axis=0) > 0
    return np.flatnonzero(foreground.mean(axis=(0, 1)) >= MIN_FOREGROUND)


def slice_levels(indices: np.ndarray) -> np.ndarray:
    """Return each slice's level: 0 at the lowest brain slice, 1 at the highest, 0.5 for a single one."""
    if len(indices) == 0:
        return np.zeros(0)
    extent = int(indices[-1] - indices[0])
    return (indices - indices[0]) / extent if extent else np.full(len(indices), 0.5)


def slice_label(lesion_mm2: float) -> int:
    """Return 1 for an abnormal slice, 0 for a normal one, -1 for a trace of lesion or no mask."""
    if lesion_mm2 >= MIN_LESION_MM2:
        return SliceLabel.ABNORMAL
    return SliceLabel.NORMAL if lesion_mm2 == 0 else SliceLabel.UNKNOWN


class MeasureLesiond(MapTransform):
    """Write the lesion area of every slice, mm^2 on the grid before resampling, as ``lesion_mm2`` (Z,)."""

    def __init__(self, keys: KeysCollection = "label") -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with ``lesion_mm2`` when there is a mask."""
        output = dict(data)
        for key in self.key_iterator(output):
            label: MetaTensor = output[key]
            steps = torch.linalg.norm(label.affine[:3, :2].double(), dim=0)
            voxels = (label.as_tensor() > 0).any(dim=0).sum(dim=(0, 1))
            output["lesion_mm2"] = voxels.double() * float(steps.prod())
        return output


class ExtractSlicesd(MapTransform):
    """End of the volume pipeline: keep the brain slices and their facts as plain tensors and numbers.

    Returns ``{"images": (n, C, H, W) float32, "masks": (n, 1, H, W) uint8, "facts": {column: list}}``,
    which ``PersistentDataset`` can keep on disk without pickled code.
    """

    def __init__(self, keys: KeysCollection = "image", label_key: str = "label") -> None:
        super().__init__(keys)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the slices of the one image in ``data``."""
        image: MetaTensor = data[self.first_key(dict(data))]
        indices = brain_slices(image.numpy())
        if len(indices) == 0:
            raise InputError(
                f"{data['case']}: expected slices with brain on at least 10 % of the field, found none."
            )
        values = image.as_tensor()
        lesion = data.get("lesion_mm2", torch.full((values.shape[-1],), float("nan")))[indices]
        facts = {
            "case": [data["case"]] * len(indices),
            "patient": [data["patient"]] * len(indices),
            "slice": indices.tolist(),
            "level": slice_levels(indices).tolist(),
            "spacing_mm": [float(torch.linalg.norm(image.affine[:3, 2].double()))] * len(indices),
            "lesion_mm2": lesion.tolist(),
            "foreground": (values.amax(dim=0) > 0).double().mean(dim=(0, 1))[indices].tolist(),
            "label": [slice_label(area) for area in lesion.tolist()],
        }
        masks = data.get(self.label_key)
        empty = torch.zeros((1, *values.shape[1:]), dtype=torch.uint8)
        masks = empty if masks is None else masks.as_tensor().to(torch.uint8)
        return {
            "images": values[..., indices].permute(3, 0, 1, 2).contiguous(),
            "masks": masks[..., indices].permute(3, 0, 1, 2).contiguous(),
            "facts": facts,
        }


class SliceCache(PersistentDataset):
    """Transformed scans, each made once and kept on disk as tensors, numbers and texts (no pickled code).

    The key holds the scan record, the size and time of its files, the transforms with their arguments,
    and the source of our own ones: a changed scan, mask or transform never meets a stale slice.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose, cache_dir: str | None) -> None:
        code = _code_hash()
        stamped = [{**name_scan(record), "stamp": _stamp(record), "code": code} for record in data]
        super().__init__(
            stamped, transform, cache_dir, hash_transform=pickle_hashing, track_meta=False, weights_only=True
        )

    def _cachecheck(self, item_transformed: dict[str, Any]) -> dict[str, Any]:
        """Make a file anew that cannot be read: MONAI moves it into place, and a kill may cut that short."""
        try:
            return super()._cachecheck(item_transformed)
        except (RuntimeError, EOFError) as error:
            file = self._file(item_transformed)
            if file is None or not file.is_file():
                raise
            logger.warning("Making %s in the cache anew, it cannot be read: %s", file.name, error)
            file.unlink()
            return super()._cachecheck(item_transformed)

    def _file(self, record: Mapping[str, Any]) -> Path | None:
        name = f"{self.hash_func(record).decode()}{self.transform_hash}.pt"
        return None if self.cache_dir is None else self.cache_dir / name


class SliceDataset(Dataset):
    """Brain slices of a list of scans; each volume is loaded and transformed once, see :class:`SliceCache`.

    About 80 KB of memory a slice and channel.

    Args:
        data: scan records.
        transform: the volume pipeline, ending in :class:`ExtractSlicesd`.
        cache_dir: folder of the cache; None keeps nothing on disk.
        select: which slices to hold.
        assume_normal: take the slices of scans without a mask as lesion-free (label 0, area unknown).

    Raises:
        InputError: no slice is left.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        cache_dir: str | None = None,
        select: str = SliceSelection.ALL,
        assume_normal: bool = False,
    ) -> None:
        self.data = list(data)
        self.transform = transform
        self.select = SliceSelection(select)
        self.assume_normal = bool(assume_normal)
        volumes = SliceCache(self.data, transform, cache_dir)
        parts = [
            self._part(record, volumes[i])
            for i, record in enumerate(tqdm(self.data, desc="scans", unit="scan", disable=None))
        ]
        self._report_unmasked(sum(len(facts) for facts, _, _ in parts))
        self.facts = pd.concat([facts for facts, _, _ in parts], ignore_index=True)
        self.images = torch.cat([images for _, images, _ in parts])
        self.masks = torch.cat([masks for _, _, masks in parts])

    def _part(
        self, record: Mapping[str, Any], extracted: Mapping[str, Any]
    ) -> tuple[pd.DataFrame, torch.Tensor, torch.Tensor]:
        facts = pd.DataFrame(extracted["facts"])
        if self.assume_normal and "label" not in record:
            facts["label"] = SliceLabel.NORMAL
        keep = np.ones(len(facts), dtype=bool)
        if self.select is SliceSelection.NORMAL:
            keep = (facts["label"] == SliceLabel.NORMAL).to_numpy()
        index = torch.from_numpy(np.flatnonzero(keep))
        return facts[keep], extracted["images"][index], extracted["masks"][index]

    def _report_unmasked(self, slices: int) -> None:
        """Refuse an empty data set, and warn of scans that are left out for want of a mask."""
        scans = len(self.data)
        unmasked = 0 if self.assume_normal else sum("label" not in record for record in self.data)
        if slices == 0 and unmasked:
            raise InputError(
                f"Expected slices that a mask shows to be free of lesions, found none: {unmasked} of {scans} "
                "scans have no mask; give masks, or --assume_normal true if these scans show no lesion."
            )
        if slices == 0:
            raise InputError(
                f"Expected {self.select.value} brain slices in {scans} scans, found none; "
                "check masks and modality."
            )
        if unmasked and self.select is SliceSelection.NORMAL:
            logger.warning(
                "Leaving out %d of %d scans, which have no mask; --assume_normal true takes them as normal.",
                unmasked,
                scans,
            )

    def __len__(self) -> int:
        return len(self.facts)

    def subset(self, keep: np.ndarray) -> SliceDataset:
        """Return the slices where ``keep`` (N,) is True."""
        part = copy.copy(self)
        part.facts = self.facts[keep].reset_index(drop=True)
        index = torch.from_numpy(np.flatnonzero(keep))
        part.images, part.masks = self.images[index], self.masks[index]
        return part

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``image`` (C, H, W), ``mask`` (1, H, W), ``label`` (-1, 0, 1), ``level`` and ``index``."""
        row = self.facts.iloc[index]
        return {
            "image": self.images[index],
            "mask": self.masks[index],
            "label": int(row["label"]),
            "level": float(row["level"]),
            "index": index,
        }


def _stamp(record: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return size and time of change of a record's files: what tells a rewritten file from the cached one."""
    paths = [*ensure_tuple(record["image"]), *ensure_tuple(record.get("label", ()))]
    paths += find_brain_masks(Path(paths[0]))
    return [(Path(path).stat().st_size, Path(path).stat().st_mtime_ns) for path in paths]


def _code_hash() -> str:
    """Return a hash of the source of our own transforms: their arguments alone do not tell a new version."""
    own = ("foreground", "preprocessing", "slices", "straightening")
    files = [Path(__file__).with_name(f"{name}.py") for name in own]
    files += [BUNDLE_ROOT / "scripts" / "io" / f"{name}.py" for name in ("content", "geometry")]
    files += sorted((BUNDLE_ROOT / "scripts" / "preflight").glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
