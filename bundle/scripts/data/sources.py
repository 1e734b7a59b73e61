"""Where scans come from: the user's folder, or the phantom cohort that stands in for one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.data.datalist import find_scans
from scripts.data.phantom import generate_cohort
from scripts.data.splits import Split, load_or_make_split

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


def split_scans(scans: Sequence[dict], split_file: str, fractions: Sequence[float], seed: int) -> Split:
    """Return the patient-level split of ``scans``, from its file when there is one."""
    return load_or_make_split(scans, split_file, fractions, seed)
