"""One function that lists the scans of a data set, whatever its layout."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from scripts.data.layouts import Found, Layout, collect_brats, collect_file, collect_folder, is_brats
from scripts.data.layouts_decathlon import collect_decathlon, collect_decathlon_file, find_decathlon
from scripts.data.layouts_files import describe_files, list_files, list_nifti
from scripts.data.layouts_names import is_nifti, parse_modalities, safe_name
from scripts.data.patients import apply_aliases, load_aliases
from scripts.errors import InputError


def find_scans(
    dataset_dir: str | Path,
    modalities: Sequence[str] | str = "t1ce",
    layout: str | Layout = Layout.AUTO,
    aliases: str | Path | Mapping[str, str] | None = None,
) -> list[dict]:
    """List the scans below a folder, one record a scan, sorted by case.

    A record is ``{"case", "patient", "image", "label", "channels"}``: ``case`` is unique and safe as a
    folder name; ``image`` is one path, or a list of paths in the order of ``modalities`` when several
    are wanted; ``label`` is there when the scan has a mask; ``channels`` is there for the 4-D files of
    the Decathlon: which of the file's channels to take, in the order of ``modalities``.

    Layouts (``auto`` takes the first that fits):

    1. ``decathlon``: ``dataset.json`` with ``modality`` and ``training`` lies in the folder, or in
       ``Task01_BrainTumour`` below it. To get the data: ``monai.apps.DecathlonDataset(root_dir,
       "Task01_BrainTumour", section="training", download=True, cache_num=0)``, then give ``root_dir``.
    2. ``brats``: every folder with NIfTI files is ``<case>/<case>_<modality>.nii[.gz]`` (2017-2021) or
       ``<case>/<case>-<modality>.nii.gz`` (2023), at any depth; ``seg`` is the mask and may be missing.
    3. ``folder``: any NIfTI files, flat or nested. ``x_seg``, ``x_label`` or ``x_mask`` is the mask of
       ``x``; names with a modality (``x_t1ce``, ``T1_post_x``, ``x/flair.nii``) are grouped by the
       rest of the name, names without one are scans of the one wanted modality. Folders called
       ``images``, ``labels``, ``masks`` or as a modality only sort the files of one case.

    Hidden files, brain masks (``*_brain_mask``, ``*_bet_mask``) and maps that inference wrote beside a
    ``<case>_result.json`` are never scans. The patient is the case, except that BraTS names since 2023
    lose their time point and BIDS names count up to the subject; ``aliases`` has the last word.

    Args:
        dataset_dir: Folder with the data set, or one NIfTI file.
        modalities: One modality or several: t1, t1ce, t2, flair or another spelling of these.
        layout: A :class:`scripts.data.layouts.Layout` or its value.
        aliases: Table of names and patients (:func:`scripts.data.patients.load_aliases`), as a path or
            as a mapping.

    Raises:
        InputError: The path or the layout is wrong, nothing is found, a case lacks a wanted modality,
            or two files claim to be the same image.
    """
    root = _existing(dataset_dir)
    wanted = parse_modalities(modalities)
    found = _collect(root, wanted, _parse_layout(layout))
    table = load_aliases(aliases) if isinstance(aliases, str | Path) else dict(aliases or {})
    cases = _unique_cases(found)
    records = [_record(case, scan, table, len(wanted)) for case, scan in zip(cases, found, strict=True)]
    return sorted(records, key=lambda record: record["case"])


def _existing(dataset_dir: str | Path) -> Path:
    root = Path(dataset_dir).expanduser().absolute()
    if not root.exists():
        raise InputError(
            f"Expected a folder of scans or a NIfTI file, but '{root}' does not exist; check the path."
        )
    return root


def _parse_layout(layout: str | Layout) -> Layout:
    try:
        return Layout(layout)
    except ValueError as error:
        names = ", ".join(member.value for member in Layout)
        raise InputError(
            f"Expected a layout out of {names}, but got '{layout}'; choose one of them."
        ) from error


def _collect(root: Path, wanted: Sequence[str], layout: Layout) -> list[Found]:
    if not root.is_dir():
        return _collect_file(root, wanted, layout)
    task = find_decathlon(root) if layout in (Layout.AUTO, Layout.DECATHLON) else None
    if task or layout is Layout.DECATHLON:
        return collect_decathlon(task or root, wanted)
    files = list_nifti(root)
    if not files:
        raise InputError(
            f"Expected NIfTI scans (*.nii, *.nii.gz) or a Decathlon dataset.json in '{root}', but found "
            f"{describe_files(list_files(root), root)}; check the folder."
        )
    use_brats = layout is Layout.BRATS or (layout is Layout.AUTO and is_brats(files))
    collect = collect_brats if use_brats else collect_folder
    return collect(root, files, wanted)


def _collect_file(path: Path, wanted: Sequence[str], layout: Layout) -> list[Found]:
    if not is_nifti(path):
        raise InputError(f"Expected a folder of scans or a file named *.nii or *.nii.gz, but got '{path}'.")
    found = collect_decathlon_file(path, wanted) if layout in (Layout.AUTO, Layout.DECATHLON) else None
    return found or collect_file(path, wanted)


def _unique_cases(found: Sequence[Found]) -> list[str]:
    """Return a safe name for each scan; equal ones get their folders, then a hash, added.

    Letter case does not tell names apart, because it does not on every file system.
    """
    named = [replace(scan, name=safe_name(scan.name)) for scan in found]
    for longer in (_with_folder, _with_hash):
        named = _rename_equal(named, longer)
    return [scan.name for scan in named]


def _rename_equal(named: list[Found], longer: Callable[[Found], str]) -> list[Found]:
    count = Counter(scan.name.casefold() for scan in named)
    return [replace(scan, name=longer(scan)) if count[scan.name.casefold()] > 1 else scan for scan in named]


def _with_folder(scan: Found) -> str:
    parts = [safe_name(part) for part in scan.folder]
    return "_".join([*parts, scan.name] if parts[-1:] != [scan.name] else parts)


def _with_hash(scan: Found) -> str:
    place = "/".join([*scan.folder, scan.images[0].name])
    return f"{scan.name}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def _record(case: str, scan: Found, aliases: Mapping[str, str], count: int) -> dict:
    images = [str(path) for path in scan.images]
    several = count > 1 and scan.channels is None
    record: dict = {
        "case": case,
        "patient": apply_aliases(case, aliases, scan.name),
        "image": images if several else images[0],
    }
    if scan.label is not None:
        record["label"] = str(scan.label)
    if scan.channels is not None:
        record["channels"] = list(scan.channels)
    return record
