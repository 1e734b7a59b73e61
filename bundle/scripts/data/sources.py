"""Where scans come from: the user's folder, or the phantom cohort that stands in for one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.data.datalist import find_scans
from scripts.data.phantom import generate_cohort
from scripts.data.splits import Split, load_or_make_split
from scripts.data.splits_entries import drop_duplicates, hash_scans
from scripts.errors import InputError
from scripts.io.run_folder import SeenScans, inherited_scans, read_settings

logger = logging.getLogger(__name__)


def scans_or_phantoms(
    dataset_dir: str,
    phantom_dir: str,
    modalities: Sequence[str] | str = "t1ce",
    layout: str = "auto",
    aliases: str | None = None,
    subjects: int = 24,
) -> list[dict]:
    """Return the scan records of ``dataset_dir``; where that is ``phantom_dir``, make the phantoms first.

    Args:
        dataset_dir: folder of scans.
        phantom_dir: folder of the synthetic cohort, the default of the training config.
        modalities: see :func:`find_scans`.
        layout: see :func:`find_scans`.
        aliases: table of patients under two names.
        subjects: size of the synthetic cohort.
    """
    if Path(dataset_dir).resolve() == Path(phantom_dir).resolve():
        logger.warning(
            "No --dataset_dir given: using SYNTHETIC phantoms in %s. They prove nothing.", phantom_dir
        )
        names = set(generate_cohort(phantom_dir, subjects=subjects, modalities=modalities))
        # A larger cohort of another run may lie there.
        scans = find_scans(dataset_dir, modalities, layout=layout, aliases=aliases)
        return [record for record in scans if record["case"] in names]
    return find_scans(dataset_dir, modalities, layout=layout, aliases=aliases)


def unseen_scans(scans: Sequence[dict], split: Split, run_dir: str | None = None) -> list[dict]:
    """Return the scans of patients that nothing was trained or chosen on, told by name and by volume.

    Args:
        scans: records of another data set, with aliases applied.
        split: of the data set that was trained on.
        run_dir: output folder of the training, which knows the patients behind the weights it started from.

    Raises:
        InputError: no scan is left.
    """
    inherited = inherited_scans(read_settings(Path(run_dir))) if run_dir else SeenScans()
    if inherited is None:
        logger.warning("%s started from weights of unknown patients; make sure no scan is of one.", run_dir)
    own = hash_scans([*split.training, *split.validation])
    people = {entry.patient for entry in own}
    people |= {name for patient in people for name in split.also.get(patient, ())}
    seen = SeenScans(frozenset(people), frozenset(entry.sha256 for entry in own))
    seen |= inherited or SeenScans()
    others = hash_scans([record for record in scans if record["patient"] not in seen.patients])
    # A volume that was trained on under another name makes its patient a seen one.
    patients = seen.patients | {entry.patient for entry in others if entry.sha256 in seen.volumes}
    left = [record for record in scans if record["patient"] not in patients]
    if not left:
        raise InputError(
            f"Expected scans of patients that the weights have not seen, but all {len(scans)} are of those "
            "in their training or validation; give another --test_dir."
        )
    if len(left) < len(scans):
        logger.info(
            "Leaving out %d of %d scans: their patients were trained or chosen on.",
            len(scans) - len(left),
            len(scans),
        )
    return left


def unique_scans(scans: Sequence[dict]) -> list[dict]:
    """Return the scan records, one of each volume, with a warning for the others."""
    kept = {entry.case: entry.patient for entry in drop_duplicates(hash_scans(scans))}
    return [record | {"patient": kept[record["case"]]} for record in scans if record["case"] in kept]


def split_scans(
    scans: Sequence[dict], split_file: str, fractions: Sequence[float], seed: int, make: bool = True
) -> Split:
    """Return the patient-level split of ``scans``, from its file when there is one.

    Args:
        scans: records, with aliases applied.
        split_file: path of the file.
        fractions: shares of training, validation and test of a new split.
        seed: of a new split.
        make: make the file where there is none, as a training does; what measures weights must not, for a new
            split knows nothing of the patients that they have seen.

    Raises:
        InputError: there is no file and none is to be made, or see :func:`load_or_make_split`.
    """
    if not make and not Path(split_file).is_file():
        raise InputError(
            f"Expected the split that the weights were trained with in '{split_file}', but there is no such "
            "file; give it with --split_file, or a new one with --split#make true if they have seen none of "
            "these patients."
        )
    return load_or_make_split(scans, split_file, fractions, seed)
