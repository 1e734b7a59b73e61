"""Folders of scans of one kind each, to see which the scope gate refuses: linked, changed, or made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import nibabel
import numpy as np
from tqdm import tqdm

from tests import people
from tests.heads import save_scan

Image = nibabel.Nifti1Image
NAME = "scan{:04d}.nii.gz"
"""Without a modality, so that every scan is taken for the wanted one."""
SHARE_OF_BRIGHT, HEAD_SHARE = 0.1, 0.02
"""Tissue is brighter than this share of the 99th percentile; a slice of the head has this share of tissue."""
FACE_MM = 85
"""About where the face begins, below the top of the head."""


def link(paths: Iterable[Path], folder: Path) -> Path:
    """Fill ``folder`` with links to scans, numbered in their order, and return it."""
    folder.mkdir(parents=True)
    for index, path in enumerate(paths):
        (folder / NAME.format(index)).symlink_to(path.resolve())
    return folder


def change(source: Path, folder: Path, function: Callable[[Image], Image]) -> Path:
    """Fill ``folder`` with what ``function`` makes of each scan in ``source``, and return it."""
    folder.mkdir(parents=True)
    for path in tqdm(sorted(source.glob("*.nii.gz")), desc=folder.name, unit="scan"):
        nibabel.save(function(Image.from_filename(path)), folder / path.name)
    return folder


def make_up(folder: Path) -> Path:
    """Fill ``folder`` with a head CT in full range and in a window, a knee and a bottle, and return it."""
    folder.mkdir(parents=True)
    tomogram = people.computed_tomography(32)
    made = (tomogram, tomogram.clip(-100, 300), people.knee(34), people.bottle(33))
    for index, volume in enumerate(made):
        save_scan(folder / NAME.format(index), volume, people.AFFINE)
    return folder


def invert(image: Image) -> Image:
    """Return a scan (X, Y, Z) whose tissue is bright where it was dark, in the same range."""
    volume = np.asarray(image.dataobj).astype(np.float32)
    tissue = _tissue(volume)
    ends = volume[tissue].max() + volume[tissue].min()
    return Image(np.where(tissue, ends - volume, volume).astype(np.float32), image.affine, image.header)


def cut_face(image: Image) -> Image:
    """Return a scan, in RAS, without its front half from :data:`FACE_MM` below the top of the head on."""
    image = nibabel.as_closest_canonical(image)
    volume = np.asarray(image.dataobj).copy()
    tissue = _tissue(volume)
    top = np.flatnonzero(tissue.mean(axis=(0, 1)) > HEAD_SHARE)[-1]
    first, last = np.flatnonzero(tissue.any(axis=(0, 2)))[[0, -1]]
    below = max(int(top - FACE_MM / image.header.get_zooms()[2]), 0)
    volume[:, (first + last) // 2 :, :below] = 0
    return Image(volume, image.affine, image.header)


def lesion_volume(mask: Path) -> float:
    """Return the volume of a lesion mask, ml."""
    image = Image.from_filename(mask)
    return float(np.count_nonzero(image.dataobj) * np.prod(image.header.get_zooms()[:3]) / 1000)


def _tissue(volume: np.ndarray) -> np.ndarray:
    return volume > SHARE_OF_BRIGHT * np.percentile(volume, 99)
