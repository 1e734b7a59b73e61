"""How data sets lie on disk: NIfTI files grouped into cases, one image per wanted modality."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from scripts.data.layouts_files import describe_files, is_output
from scripts.data.layouts_names import MASK_WORDS, OTHER, ParsedName, is_nifti, parse_name, read_modality
from scripts.errors import InputError

logger = logging.getLogger(__name__)

IMAGE_FOLDERS = {"image", "images", "imagestr", "imagests"}
MASK_FOLDERS = {"label", "labels", "labelstr", "labelsts", "mask", "masks", "seg", "segmentations"}


class Layout(StrEnum):
    """How the scans of a data set are arranged."""

    AUTO = "auto"
    """The first that fits: decathlon, brats, folder."""
    BRATS = "brats"
    """``<case>/<case>_t1ce.nii[.gz]`` and ``_seg`` (2017-2021) or ``<case>/<case>-t1c.nii.gz`` (2023)."""
    DECATHLON = "decathlon"
    """Medical Segmentation Decathlon Task01: 4-D files listed in ``dataset.json``."""
    FOLDER = "folder"
    """Any folder, flat or nested, of NIfTI files, with or without masks; or one file."""


@dataclass(frozen=True)
class Found:
    """One scan as a layout found it; ``folder`` (relative to the data set) tells equal names apart."""

    name: str
    folder: tuple[str, ...]
    images: tuple[Path, ...]
    label: Path | None = None
    channels: tuple[int, ...] | None = None


@dataclass
class Case:
    """The files that share a folder and a base name; images by modality, None for a name without one."""

    base: str
    folder: tuple[str, ...]
    root: Path
    images: dict[str | None, list[ParsedName]] = field(default_factory=dict)
    masks: list[ParsedName] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Base name, or that of the nearest folder where files are called ``t1ce.nii.gz`` only."""
        return self.base or (self.folder[-1] if self.folder else self.root.name)

    def pick(self, wanted: Sequence[str], allow_unnamed: bool) -> tuple[ParsedName, ...] | None:
        """Return one image per wanted modality, in order; None when one is missing.

        Args:
            wanted: Modalities, as :func:`scripts.data.layouts_names.parse_modalities` returns them.
            allow_unnamed: Whether a name without modality counts as the one wanted modality.

        Raises:
            InputError: Two files claim to be the same image.
        """
        unnamed = self.images.get(None, []) if allow_unnamed and len(wanted) == 1 else []
        chosen = []
        for modality in wanted:
            files = self.images.get(modality, []) + unnamed
            if len(files) > 1:
                raise InputError(
                    f"Expected one {modality} file for case '{self.name}', but found "
                    f"{describe_files([file.path for file in files], self.root)}; keep one of them."
                )
            chosen += files
        return tuple(chosen) if len(chosen) == len(wanted) else None

    def label(self, image: ParsedName) -> Path | None:
        """Return the mask: one named after the image itself before one named after the case.

        Raises:
            InputError: Two files claim to be the same mask.
        """
        ranked = sorted(self.masks, key=lambda mask: self._rank(mask, image))
        best = [mask for mask in ranked if self._rank(mask, image) == self._rank(ranked[0], image)]
        if len(best) > 1:
            raise InputError(
                f"Expected one mask for case '{self.name}', but found "
                f"{describe_files([mask.path for mask in best], self.root)}; keep one of them."
            )
        return best[0].path if best else None

    @staticmethod
    def _rank(mask: ParsedName, image: ParsedName) -> tuple[int, int]:
        owner = 0 if mask.of == image.of else 1 if mask.modality is None else 2
        return owner, MASK_WORDS.index(mask.mask or "")

    def found(self, images: Sequence[ParsedName]) -> Found:
        """Return the finished scan made of these images and the mask that belongs to the first."""
        return Found(self.name, self.folder, tuple(image.path for image in images), self.label(images[0]))

    def refuse(self, wanted: Sequence[str]) -> InputError:
        """Return the error for a case without a wanted modality: what it lacks and what it has."""
        lacks = [modality for modality in wanted if modality not in self.images]
        has = sorted(str(modality) for modality in self.images if modality not in (None, OTHER))
        has += [image.path.name for name in (None, OTHER) for image in self.images.get(name, [])]
        has += ["a mask"] if self.masks else []
        return InputError(
            f"Expected {' and '.join(lacks)} for case '{self.name}' in '{self.root.joinpath(*self.folder)}', "
            f"but it has {', '.join(has)}; add the file, remove the case or choose other modalities."
        )


def collect_brats(root: Path, files: Sequence[Path], wanted: Sequence[str]) -> list[Found]:
    """Return the scans of a BraTS data set, at any depth (2018-2020 keep HGG and LGG apart).

    A missing mask is no error. Other NIfTI files in the case folders are named in a warning.

    Raises:
        InputError: No file fits, or a case lacks a wanted modality.
    """
    parsed = [name for name in map(parse_name, files) if name is not None]
    fitting = [name for name in parsed if _fits_brats(name)]
    if not fitting:
        raise InputError(
            f"Expected <case>/<case>_<modality>.nii[.gz] in '{root}', but found "
            f"{describe_files(files, root)}; check the folder or set the layout to 'folder'."
        )
    taken = {name.path for name in fitting}
    _warn_left_out(
        [name.path for name in parsed if name.path not in taken], root, "is not named <case>_<modality>"
    )
    found = []
    for case in _group(fitting, root):
        images = case.pick(wanted, allow_unnamed=False)
        if images is None:
            raise case.refuse(wanted)
        found.append(case.found(images))
    return found


def is_brats(files: Sequence[Path]) -> bool:
    """Tell whether every folder of these NIfTI files is a BraTS case folder."""
    parsed = [name for name in map(parse_name, files) if name is not None]
    fitting = [name for name in parsed if _fits_brats(name)]
    has_image = any(name.mask is None for name in fitting)
    return has_image and {name.path.parent for name in parsed} == {name.path.parent for name in fitting}


def collect_folder(root: Path, files: Sequence[Path], wanted: Sequence[str]) -> list[Found]:
    """Return the scans of any folder of NIfTI files.

    A file whose name has no modality is an image of the wanted one (when one is wanted). A file of
    another modality is left out when it stands beside the wanted image: with the same base name, or
    (with a warning) in a folder with one scan only. Otherwise it is a case that lacks the wanted
    image, which is an error.

    Raises:
        InputError: No scan is there, or a case lacks a wanted modality.
    """
    cases = _group((name for name in map(parse_name, files) if name is not None), root)
    complete = [(case, images) for case in cases if (images := case.pick(wanted, allow_unnamed=True))]
    per_folder = Counter(case.folder for case, _ in complete)
    done = {id(case) for case, _ in complete}
    others = [case for case in cases if case.images and id(case) not in done]
    for case in others:
        if per_folder[case.folder] != 1:
            raise case.refuse(wanted)
    siblings = [image.path for case in others for images in case.images.values() for image in images]
    _warn_left_out(siblings, root, f"is not named {' or '.join(wanted)} as the scan beside it")
    masks = [mask.path for case in cases if not case.images for mask in case.masks]
    _warn_left_out(masks, root, "is named as a mask, but no scan has its name")
    if not complete:
        raise InputError(
            f"Expected scans named *.nii or *.nii.gz in '{root}', but found {describe_files(files, root)} "
            "that could be one; check the folder."
        )
    return [case.found(images) for case, images in complete]


def collect_file(path: Path, wanted: Sequence[str]) -> list[Found]:
    """Return the one scan that a file is, with its mask and its other modalities from the same folder.

    Raises:
        InputError: The file is no scan by its name, or a wanted modality is missing beside it.
    """
    name = parse_name(path)
    if name is None or name.mask is not None or is_output(path):
        raise InputError(
            f"Expected a scan, but '{path}' is named as a mask or a map; give the scan it belongs to."
        )
    nifti = sorted(file for file in path.parent.iterdir() if is_nifti(file) and not is_output(file))
    siblings = [file for file in nifti if file == path or not file.name.startswith(".")]
    parsed = (other for other in map(parse_name, siblings) if other is not None)
    cases = _group(parsed, path.parent, peel=False)
    case = next(case for case in cases if name in case.images.get(name.modality, []))
    if len(wanted) == 1:
        if name.modality not in (None, wanted[0]):
            logger.warning("'%s' is taken as %s, but its name says %s", path.name, wanted[0], name.modality)
        return [case.found([name])]
    images = case.pick(wanted, allow_unnamed=False)
    if images is None:
        raise case.refuse(wanted)
    return [case.found(images)]


def _fits_brats(name: ParsedName) -> bool:
    known = name.mask is not None or name.modality not in (None, OTHER)
    return known and name.base.casefold() == name.path.parent.name.casefold()


def _group(names: Iterable[ParsedName], root: Path, peel: bool = True) -> list[Case]:
    """Group files by folder and base name; folders that only sort files by kind do not count."""
    cases: dict[tuple[tuple[str, ...], str], Case] = {}
    for given in names:
        name, folder = given, given.path.relative_to(root).parent.parts
        while peel and folder and (peeled := _peel(name, folder[-1])) is not None:
            name, folder = peeled, folder[:-1]
        case = cases.setdefault((folder, name.base), Case(name.base, folder, root))
        if name.mask is None:
            case.images.setdefault(name.modality, []).append(name)
        else:
            case.masks.append(name)
    return list(cases.values())


def _peel(name: ParsedName, folder: str) -> ParsedName | None:
    """Return what the name of its folder adds to a file (``labels/``, ``flair/``), None for nothing."""
    word = folder.casefold()
    if word in IMAGE_FOLDERS:
        return name
    if word in MASK_FOLDERS:
        return ParsedName(name.path, name.base, name.modality, name.mask or "label", name.of)
    modality, rest = read_modality(folder)
    if modality is not None and not rest and name.modality in (None, modality):
        return ParsedName(name.path, name.base, modality, name.mask, name.of)
    return None


def _warn_left_out(paths: Sequence[Path], root: Path, reason: str) -> None:
    if paths:
        logger.warning("left out of '%s', because it %s: %s", root, reason, describe_files(paths, root))
