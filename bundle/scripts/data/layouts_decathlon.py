"""Medical Segmentation Decathlon, Task01_BrainTumour: 4-D files whose channels are modalities."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai.data import load_decathlon_datalist

from scripts.data.layouts import Found
from scripts.data.layouts_names import nifti_stem, read_modality
from scripts.errors import InputError

TASK = "Task01_BrainTumour"
SECTIONS = ("training", "test")


def find_decathlon(dataset_dir: Path) -> Path | None:
    """Return the folder with a Decathlon ``dataset.json``: this one, or ``Task01_BrainTumour`` in it.

    A ``dataset.json`` of another format (without ``modality`` and ``training``) does not count.
    """
    for folder in (dataset_dir, dataset_dir / TASK):
        if (folder / "dataset.json").is_file() and {"modality", "training"} <= set(_read(folder)):
            return folder
    return None


def collect_decathlon(folder: Path, wanted: Sequence[str]) -> list[Found]:
    """Return the scans of a Decathlon task: ``training`` with its labels, ``test`` without.

    Raises:
        InputError: ``dataset.json`` is missing or damaged, a wanted modality is not in it, or a file
            that it lists is not there.
    """
    if not (folder / "dataset.json").is_file():
        raise InputError(
            f"Expected a Decathlon folder with dataset.json, but '{folder}' has none; check the path."
        )
    content = _read(folder)
    channels = _channels(folder, content, wanted)
    found = []
    for section in SECTIONS:
        for entry in _entries(folder, content, section):
            image = _existing(folder, entry.get("image"))
            has_label = section == "training" and entry.get("label")
            label = _existing(folder, entry["label"]) if has_label else None
            found.append(Found(nifti_stem(image), (image.parent.name,), (image,), label, channels))
    _check_listed(folder, found)
    return found


def collect_decathlon_file(path: Path, wanted: Sequence[str]) -> list[Found] | None:
    """Return the scan of one file of a Decathlon task (``imagesTr/x.nii.gz``), None for any other file."""
    folder = path.parent.parent
    if path.parent.name not in ("imagesTr", "imagesTs") or find_decathlon(folder) != folder:
        return None
    return [found for found in collect_decathlon(folder, wanted) if found.images == (path,)] or None


def _read(folder: Path) -> dict:
    path = folder / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected JSON in '{path}', but it cannot be read ({error}); fetch it again."
        ) from error
    return content if isinstance(content, dict) else {}


def _channels(folder: Path, content: Mapping, wanted: Sequence[str]) -> tuple[int, ...]:
    """Return the index of each wanted modality along the last axis of the 4-D files."""
    names = content.get("modality")
    if not isinstance(names, dict) or not all(str(index).isdigit() for index in names):
        raise InputError(
            f"Expected 'modality' in '{folder / 'dataset.json'}' to be numbered like "
            f'{{"0": "FLAIR", "1": "T1w"}}, but got {names}; correct the file.'
        )
    index = {read_modality(str(name))[0]: int(number) for number, name in names.items()}
    for modality in wanted:
        if modality not in index:
            raise InputError(
                f"Expected {modality} in '{folder / 'dataset.json'}', but its modalities are "
                f"{', '.join(map(str, names.values()))}; choose one of them."
            )
    return tuple(index[modality] for modality in wanted)


def _entries(folder: Path, content: Mapping, section: str) -> list[dict]:
    """Return the entries of a section with whole paths, hidden ``._*`` files left out."""
    if not content.get(section):
        return []
    try:
        entries = load_decathlon_datalist(folder / "dataset.json", True, section)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"Expected a list of images in '{section}' of '{folder / 'dataset.json'}', but it is none "
            f"({error}); fetch the file again."
        ) from error
    return [entry for entry in entries if not Path(str(entry.get("image"))).name.startswith("._")]


def _check_listed(folder: Path, found: Sequence[Found]) -> None:
    if not found:
        raise InputError(
            f"Expected scans listed in '{folder / 'dataset.json'}', but it lists none; check the file."
        )
    for images, times in Counter(scan.images for scan in found).items():
        if times > 1:
            raise InputError(
                f"Expected each scan once in '{folder / 'dataset.json'}', but '{images[0].name}' is listed "
                f"{times} times; correct the file."
            )


def _existing(folder: Path, path: object) -> Path:
    if not isinstance(path, str) or not Path(path).is_file():
        raise InputError(
            f"Expected the files that '{folder / 'dataset.json'}' lists, but '{path}' is not there; "
            "unpack the archive again."
        )
    return Path(path)
