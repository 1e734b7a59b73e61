"""The phantom cohort: synthetic brain scans in the BraTS layout, for the demo and the tests.

Nothing here is a patient. Each subject depends on (seed, number) only, whatever the size of the cohort
or the modalities asked for, and has the same anatomy with and without its tumour.
"""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import fire
import nibabel
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scripts.data.phantom_contrast import MODALITIES
from scripts.data.phantom_fields import Grid
from scripts.data.phantom_subject import Subject, make_scan, make_subject
from scripts.errors import InputError, install_error_hook

PHANTOM_VERSION = 1
"""Counts the changes after which the same seed gives other scans."""

_SOURCE = "synthetic scans, no patients: ICBM152 tissue maps (carried by nilearn), deformed at random"
_LEVELS = 500  # whole numbers between air and white matter; the gain is the file's slope


@dataclass(frozen=True)
class _Settings:
    """What two folders must share for the same subject number to be the same scans."""

    version: int
    seed: int
    tumour_fraction: float
    skull: bool
    resolution_mm: float
    slice_mm: float

    @property
    def grid(self) -> Grid:
        return Grid((self.resolution_mm, self.resolution_mm, self.slice_mm))


def generate_cohort(
    output_dir: str | os.PathLike[str],
    subjects: int = 24,
    tumour_fraction: float = 0.5,
    seed: int = 0,
    modalities: Sequence[str] = MODALITIES,
    skull: bool = True,
    resolution_mm: float = 2.0,
    slice_mm: float = 3.0,
    progress: bool = True,
) -> list[str]:
    """Write a cohort of synthetic scans; files that are already there are left alone.

    Args:
        output_dir: gets ``Phantom_001/Phantom_001_t1ce.nii.gz``, ``..._seg.nii.gz`` and ``cohort.json``.
        subjects: how many; a larger cohort contains the smaller one.
        tumour_fraction: part of the subjects with a tumour, in [0, 1].
        seed: of the whole cohort.
        modalities: which of t1, t1ce, t2 and flair to write; the mask is always written.
        skull: whole heads, or brains with 0 outside as in BraTS.
        resolution_mm: in-plane voxel size.
        slice_mm: slice spacing.
        progress: show a progress bar.

    Returns:
        Case names in order.

    Raises:
        InputError: an argument is out of range, or the folder holds a cohort of other settings.
        ResourceError: nilearn is not installed.
    """
    modalities = modalities.split(",") if isinstance(modalities, str) else list(modalities)
    settings = _Settings(PHANTOM_VERSION, seed, tumour_fraction, skull, resolution_mm, slice_mm)
    _check_arguments(settings, subjects, modalities)
    folder = Path(output_dir)
    known = _known_subjects(folder, settings)
    names = [f"Phantom_{number:03d}" for number in range(1, subjects + 1)]
    for number, name in enumerate(tqdm(names, "phantom", unit="subject", disable=not progress), start=1):
        paths = {kind: folder / name / f"{name}_{kind}.nii.gz" for kind in [*modalities, "seg"]}
        missing = {kind: path for kind, path in paths.items() if not path.exists()}
        if missing or name not in known:
            known[name] = _write_subject(missing, settings, number)
            _write_cohort(folder, settings, known)
    return names


def has_tumour(number: int, tumour_fraction: float) -> bool:
    """Tell whether subject ``number`` (from 1) has a tumour: evenly spread, whatever the cohort's size.

    >>> [has_tumour(number, 0.5) for number in (1, 2, 3, 4)]
    [False, True, False, True]
    """
    return math.floor(number * tumour_fraction) > math.floor((number - 1) * tumour_fraction)


def _check_arguments(settings: _Settings, subjects: int, modalities: Sequence[str]) -> None:
    unknown = [name for name in modalities if name not in MODALITIES]
    if unknown:
        raise InputError(f"modalities must be among {', '.join(MODALITIES)}, but got {', '.join(unknown)}.")
    for name, value, lower, upper in (
        ("subjects", subjects, 1, math.inf),
        ("seed", settings.seed, 0, math.inf),
        ("tumour_fraction", settings.tumour_fraction, 0, 1),
        ("resolution_mm", settings.resolution_mm, 1, 8),
        ("slice_mm", settings.slice_mm, 1, 12),
    ):
        if not lower <= value <= upper:
            raise InputError(f"{name} must lie between {lower} and {upper}, but got {value}.")


def _known_subjects(folder: Path, settings: _Settings) -> dict[str, Any]:
    """Return the facts stored in ``cohort.json``, which is begun where the folder is new."""
    path = folder / "cohort.json"
    if not path.exists():
        if any(folder.glob("Phantom_*/*.nii.gz")):
            raise InputError(
                f"{folder} holds phantom scans but not the cohort.json that tells how they were made; "
                "choose another output_dir or remove that folder."
            )
        _write_cohort(folder, settings, {})
        return {}
    try:
        stored = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} must be JSON ({error}); remove that folder and generate again.") from error
    other = [key for key, value in asdict(settings).items() if stored.get(key) != value]
    if other:
        differences = (f"{key} {stored.get(key)} (wanted {asdict(settings)[key]})" for key in other)
        raise InputError(
            f"{folder} holds a phantom cohort with {', '.join(differences)}; "
            "choose another output_dir or remove that folder."
        )
    return dict(stored["subjects"])


def _write_subject(paths: dict[str, Path], settings: _Settings, number: int) -> dict[str, Any]:
    """Write the given kinds of file (modalities and ``seg``) of one subject and return its facts."""
    seed, affine = settings.seed, settings.grid.affine
    tumour = has_tumour(number, settings.tumour_fraction)
    subject: Subject = make_subject(settings.grid, seed, number, tumour)
    for kind, path in paths.items():
        if kind == "seg":
            _write_nifti(path, subject.labels, affine, slope=1.0)
        else:
            image, gain = make_scan(subject, seed, number, kind, settings.skull)
            _write_nifti(path, np.rint(image * _LEVELS).astype(np.uint16), affine, slope=gain / _LEVELS)
    return subject.facts()


def _write_nifti(path: Path, values: NDArray[Any], affine: NDArray[np.float64], slope: float) -> None:
    image = nibabel.Nifti1Image(values, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(slope, 0.0)
    image.header["descrip"] = b"synthetic phantom"
    _replace(path, gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _write_cohort(folder: Path, settings: _Settings, known: dict[str, Any]) -> None:
    subjects = dict(sorted(known.items()))
    cohort = {"description": _SOURCE, "synthetic": True, **asdict(settings), "subjects": subjects}
    _replace(folder / "cohort.json", json.dumps(cohort, indent=2).encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename, so that a file that exists is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    install_error_hook()
    fire.Fire(generate_cohort)
