"""Which DICOM series are mapped: the only one of each study, or those that the user names."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from monai.utils import ensure_tuple

from scripts.data.dicom_series import Kind, Listing, Series, list_series
from scripts.data.layouts_names import safe_name
from scripts.errors import InputError, ScopeError

logger = logging.getLogger(__name__)

MAPPED = (Kind.ORIGINAL, Kind.DERIVED)
_SHOWN = 8


def find_series(
    dataset_dir: str | Path,
    series: str | Sequence[str] | None = None,
    modalities: Sequence[str] = ("t1ce",),
    identifiers: bool = False,
) -> list[dict[str, Any]]:
    """Return a record for each series that is to be mapped, as :func:`scripts.data.datalist.find_scans`.

    ``image`` is a :class:`Series`; ``case`` is its pseudonym, or begins with the patient's ID when
    ``identifiers`` are asked for.

    Args:
        dataset_dir: folder or zip archive of DICOM, with any number of patients and series.
        series: UIDs, pseudonyms, or patterns of descriptions such as ``*t1*post*``; None takes the only
            original MR series of each study.
        modalities: channels of the network: one, for nothing here registers series to each other.
        identifiers: put patients' IDs into the names of cases.

    Raises:
        InputError: no images, several series without a word which, or one named that is not there.
        ScopeError: no original MR series, or one named that is of another kind.
    """
    if len(modalities) != 1:
        raise InputError(
            f"Expected one modality for DICOM, got {', '.join(modalities)}; register the series, "
            "and give them as NIfTI files."
        )
    listing = list_series(dataset_dir)
    _log(listing)
    chosen = choose_series(listing, series)
    return [
        {"case": _case(one, identifiers), "patient": one.patient, "image": one}
        for one in sorted(chosen, key=lambda one: one.key)
    ]


def choose_series(listing: Listing, wanted: str | Sequence[str] | None) -> list[Series]:
    """Return the series to map, see :func:`find_series`."""
    if not listing.series:
        raise InputError(
            f"Expected DICOM images, found none among {listing.not_dicom} other and {listing.damaged} "
            "damaged files; check --dataset_dir."
        )
    if wanted is None:
        return _only_ones(listing)
    words = [str(word) for word in ensure_tuple(wanted)]  # a command line makes numbers of digits
    chosen = {one.key: one for word in words for one in _matching(listing, word)}
    return list(chosen.values())


def table(listing: Listing, identifiers: bool = False) -> str:
    """Return the series of a listing as text, by patient and study; with IDs and UIDs when asked for."""
    lines = []
    for series in listing.series:
        who = f"{series.patient} {series.study}"
        names = f" [patient ID {series.patient_id}, UID {series.uid}]" if identifiers else ""
        lines.append(f"{who} {series.line}{names}")
    lines.append(f"{listing.not_dicom} files are no DICOM, {listing.damaged} DICOM files are damaged.")
    return "\n".join(lines)


def show_series(dataset_dir: str | Path, identifiers: bool = False) -> None:
    """Print the series of a folder or archive."""
    print(table(list_series(dataset_dir), identifiers))


def _only_ones(listing: Listing) -> list[Series]:
    """Return the one original series of each study; studies without any are passed over."""
    studies: dict[str, list[Series]] = defaultdict(list)
    for series in listing.series:
        if series.kind is Kind.ORIGINAL:
            studies[series.study].append(series)
    if not studies:
        raise ScopeError(
            f"Expected an original MR series, found {_several(listing.series)}; "
            "give one, or name a derived one with --series."
        )
    for study, several in studies.items():
        if len(several) > 1:
            raise InputError(
                f"{study}: expected one original MR series, found {len(several)}: {_several(several)}; "
                "choose with --series, by pseudonym, UID or pattern of the description."
            )
    return [several[0] for several in studies.values()]


def _matching(listing: Listing, word: str) -> list[Series]:
    """Return the series that a word names; a pattern finds original ones only."""
    named = [one for one in listing.series if word in (one.uid, one.key)]
    pattern = word.casefold()
    found = named or [
        one
        for one in listing.series
        if one.kind is Kind.ORIGINAL and fnmatchcase(one.description.casefold(), pattern)
    ]
    if not found:
        raise InputError(
            f"Expected a series as --series {word!r} names it, found {_several(listing.series)}; "
            "take one of these pseudonyms, or a pattern of the description of an original one."
        )
    refused = [one for one in found if one.kind not in MAPPED]
    if refused:
        raise ScopeError(f"Expected MR images for --series, got {refused[0].line}; choose another series.")
    return found


def _several(series: Sequence[Series]) -> str:
    more = f" and {len(series) - _SHOWN} more" if len(series) > _SHOWN else ""
    return "; ".join(one.line for one in series[:_SHOWN]) + more


def _case(series: Series, identifiers: bool) -> str:
    return safe_name(f"{series.patient_id}_{series.key}") if identifiers else series.key


def _log(listing: Listing) -> None:
    passed = [one for one in listing.series if one.kind is not Kind.ORIGINAL]
    logger.info(
        "%d series, %d of them not original MR images; %d files are no DICOM.",
        len(listing.series),
        len(passed),
        listing.not_dicom,
    )
    if listing.damaged:
        logger.warning("%d DICOM files are damaged and left out.", listing.damaged)
