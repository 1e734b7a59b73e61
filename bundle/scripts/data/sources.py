"""Where scans come from: the user's folder, or the phantom cohort that stands in for one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.data.datalist import find_scans
from scripts.data.phantom import generate_cohort
from scripts.data.splits import Split, load_or_make_split
from scripts.errors import InputError
from scripts.io.run_folder import inherited_patients, read_settings

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
        generate_cohort(phantom_dir, subjects=subjects, modalities=modalities)
    return find_scans(dataset_dir, modalities, layout=layout, aliases=aliases)


def unseen_scans(scans: Sequence[dict], split: Split, run_dir: str | None = None) -> list[dict]:
    """Return the scans of patients that nothing was trained or chosen on.

    Args:
        scans: records of another data set, with aliases applied.
        split: of the data set that was trained on.
        run_dir: output folder of the training, which knows the patients behind the weights it started from.

    Raises:
        InputError: no scan is left.
    """
    inherited = inherited_patients(read_settings(Path(run_dir))) if run_dir else set()
    if inherited is None:
        logger.warning("%s started from weights of unknown patients; make sure no scan is of one.", run_dir)
    seen = {record["patient"] for record in (*split.training, *split.validation)} | (inherited or set())
    left = [record for record in scans if record["patient"] not in seen]
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


def split_scans(scans: Sequence[dict], split_file: str, fractions: Sequence[float], seed: int) -> Split:
    """Return the patient-level split of ``scans``, from its file when there is one."""
    return load_or_make_split(scans, split_file, fractions, seed)
