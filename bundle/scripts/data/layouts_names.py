"""What a file name says: NIfTI or not, which modality, a mask or a scan, whose."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from scripts.errors import InputError


class Modality(StrEnum):
    """The four MR sequences that the layouts know, by the name that configs use."""

    T1 = "t1"
    """T1-weighted, no contrast agent (also t1w, t1n)."""
    T1CE = "t1ce"
    """T1-weighted after contrast agent, the paper's choice (also t1c, t1gd, T1_post, BIDS ce-*_T1w)."""
    T2 = "t2"
    """T2-weighted (also t2w)."""
    FLAIR = "flair"
    """Fluid-attenuated inversion recovery (also t2f, t2_flair)."""


OTHER = "other"
"""Modality of a name that ends in a sequence which is never an input here (dwi, ct, ...)."""

_SPELLINGS = {
    Modality.FLAIR.value: r"t2[\W_]?flair|flair|t2f",
    Modality.T1CE.value: r"t1ce|t1c|t1w?[\W_]?(?:ce|gd|gad|gadolinium|post|contrast)",
    Modality.T1.value: r"t1[wn]?",
    Modality.T2.value: r"t2w?",
    # Only as the last word: "CT_study_12" or "PET-patient" would be a name, not a sequence.
    OTHER: r"(?:dwi|adc|swi|asl|dti|pdw|bold|mra|ct|pet)\Z",
}
_MODALITY = re.compile(
    r"(?<![^\W_])(?:"
    + "|".join(f"(?P<{name}>{words})" for name, words in _SPELLINGS.items())
    + r")(?![^\W_])",
    re.IGNORECASE,
)
_CONTRAST_ENTITY = re.compile(r"(?:\A|_)ce-[^\W_]+(?=_|\Z)", re.IGNORECASE)
_SEPARATORS = " _-."

MASK_WORDS = ("seg", "segmentation", "label", "labels", "mask")
"""Last words of a lesion mask's name; where a scan has several masks, the first in this order counts."""
_MASK = re.compile(rf"\A(?P<of>.*?)[ _.-]*(?<![^\W_])(?P<word>{'|'.join(MASK_WORDS)})\Z", re.IGNORECASE)
_BRAIN_MASK = re.compile(r"(?<![^\W_])(?:brain|bet|head|skull)[ _.-]?(?:mask|seg)\Z", re.IGNORECASE)
_SUFFIX = re.compile(r"\.nii(?:\.gz)?\Z", re.IGNORECASE)
_PATIENT = re.compile(r"\A(?:(BraTS-[a-z]+-\d+)-\d+|(sub-[a-z0-9]+)_.*)\Z", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedName:
    """One NIfTI file name taken apart: ``base`` is what is left when the other words are removed."""

    path: Path
    base: str
    modality: str | None
    mask: str | None
    of: str
    """Name of the scan: the stem without the mask word."""


def is_nifti(path: str | Path) -> bool:
    """Tell whether the name ends in ``.nii`` or ``.nii.gz``, in any letter case."""
    return _SUFFIX.search(Path(path).name) is not None


def nifti_stem(path: str | Path) -> str:
    """Return the file name without ``.nii`` or ``.nii.gz``.

    >>> nifti_stem("/data/scan v1.2.NII.GZ"), nifti_stem("x.nii")
    ('scan v1.2', 'x')

    Raises:
        InputError: The name has neither suffix.
    """
    name = Path(path).name
    if not is_nifti(name):
        raise InputError(f"Expected a file named *.nii or *.nii.gz, but got '{path}'; convert or rename it.")
    return _SUFFIX.sub("", name)


def brain_mask_of(path: str | Path) -> str | None:
    """Return whose brain mask a file is by its name, None when it is none.

    >>> brain_mask_of("a_t1ce_brain_mask.nii.gz"), brain_mask_of("a_mask.nii.gz")
    ('a_t1ce', None)
    """
    stem = nifti_stem(path)
    found = _BRAIN_MASK.search(stem)
    return stem[: found.start()].rstrip(_SEPARATORS) if found else None


def read_modality(text: str) -> tuple[str | None, str]:
    """Return the modality that a stem names (its last such word) and the stem without that word.

    >>> read_modality("BraTS-GLI-00001-000-t1c")
    ('t1ce', 'BraTS-GLI-00001-000')
    >>> read_modality("T2_FLAIR_brain"), read_modality("scan 7")
    (('flair', 'brain'), (None, 'scan 7'))
    """
    matches = list(_MODALITY.finditer(text))
    if not matches:
        return None, text
    found = matches[-1]
    before, after = text[: found.start()].rstrip(_SEPARATORS), text[found.end() :]
    name, base = found.lastgroup, (before + after) if before else after.lstrip(_SEPARATORS)
    if name == Modality.T1.value and _CONTRAST_ENTITY.search(base):
        return Modality.T1CE.value, _CONTRAST_ENTITY.sub("", base).lstrip(_SEPARATORS)
    return name, base


def parse_name(path: Path) -> ParsedName | None:
    """Take the name of a NIfTI file apart; None for a brain mask, which is neither scan nor lesion mask."""
    stem = nifti_stem(path)
    if brain_mask_of(path) is not None:
        return None
    mask = _MASK.match(stem)
    of = mask["of"] if mask else stem
    modality, base = read_modality(of)
    return ParsedName(path, base, modality, mask["word"].lower() if mask else None, of)


def parse_modalities(modalities: Sequence[str] | str) -> list[str]:
    """Return the wanted modalities as :class:`Modality` values, in the order given.

    Raises:
        InputError: None is given, one is not known, or one comes twice.
    """
    given = [modalities] if isinstance(modalities, str) else list(modalities)
    known = [member.value for member in Modality]
    wanted = []
    for text in given:
        name, rest = read_modality(str(getattr(text, "value", text)).strip())
        if name not in known or rest:
            close = difflib.get_close_matches(str(text).lower(), known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"Expected modalities out of {', '.join(known)}, but got '{text}'; did you mean '{close}'?"
            )
        wanted.append(str(name))
    if not wanted or len(set(wanted)) < len(wanted):
        raise InputError(
            f"Expected one or more different modalities out of {', '.join(known)}, but got {given}; "
            "name each wanted one once."
        )
    return wanted


def safe_name(text: str) -> str:
    """Return a name that every file system takes as a folder: letters (any script), digits, ``_ . -``.

    >>> safe_name("scan v1.2 (Müller)/left")
    'scan_v1.2_Müller_left'
    """
    # A decomposed "ü" (macOS) and a composed one are one name.
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"_*[^\w.-]+_*", "_", text).strip("_. ") or "scan"


def patient_of(case: str) -> str:
    """Return the person a case belongs to, where the naming scheme says so; else the case itself.

    BraTS since 2023 ends a name in a time point, BIDS starts it with the subject.

    >>> patient_of("BraTS-GLI-00005-001"), patient_of("sub-07_ses-2"), patient_of("BraTS2021_00006")
    ('BraTS-GLI-00005', 'sub-07', 'BraTS2021_00006')
    """
    match = _PATIENT.match(case)
    return (match[1] or match[2]) if match else case
