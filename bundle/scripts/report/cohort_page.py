"""The scans of one run on one page, the highest score first, each with a link to its own page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.io.atomic import write_text
from scripts.io.results import ScanResult, Status, score_row
from scripts.report.overview import RESEARCH, SYNTHETIC
from scripts.report.scan_page import warnings_of
from scripts.report.templates import make_environment
from scripts.uncertainty.scores import UNITS, Score, variance_unit

TEMPLATE = "cohort_page.html.j2"


def write_cohort_page(results: Sequence[ScanResult], path: str | Path, synthetic: bool = False) -> Path:
    """Write the page of a cohort, atomically, and return ``path``.

    Args:
        results: of the scans; those without a score come last.
        path: in the folder that holds one folder for each scan.
        synthetic: say that these are no persons.
    """
    ordered = sorted(results, key=lambda one: (one.scan_score is None, -(one.scan_score or 0.0), one.case))
    scores = {str(one.settings["score"]) for one in results if one.scan_score is not None}
    score = scores.pop() if len(scores) == 1 else None
    page = make_environment().get_template(TEMPLATE)
    text = page.render(
        results=[(one, score_row(one)) for one in ordered],
        finished=sum(one.status is Status.OK for one in results),
        unit=None if score is None else UNITS[Score(score)],
        variance_unit=None if score is None else variance_unit(score),
        warnings=warnings_of,
        synthetic=SYNTHETIC if synthetic else None,
        research=RESEARCH,
    )
    return write_text(path, text)
