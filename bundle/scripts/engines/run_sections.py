"""The sections of a report about one run."""

from __future__ import annotations

from typing import Any

from scripts.data.slices import SliceLabel
from scripts.engines.run_tables import (
    Measured,
    Rows,
    correlation_rows,
    curve_rows,
    normal_range_rows,
    patient_rows,
    pixel_rows,
    quintile_rows,
    refusal_rows,
    reliability_rows,
    slice_rows,
    strata_rows,
    threshold_rows,
)
from scripts.report.calibration_figures import gaussian_picture, quintile_picture, refusal_picture
from scripts.report.page import Picture, Section, Table
from scripts.report.panels import map_units
from scripts.report.score_figures import curve_picture, level_picture, score_picture
from scripts.report.slice_pictures import slice_picture, worst_slices
from scripts.uncertainty.scores import UNITS, Score

INTENSITY_VARIANCES = (
    "Epistemic variance is that between the draws, whatever they are of; aleatoric variance is what the "
    "decoder predicts."
)
LESION_VARIANCES = (
    "Both variances are of a lesion's probability p: epistemic is how p differs between draws of the "
    "decoder's dropout, aleatoric the mean of p (1 - p). The predictive Gaussian is that of the slice "
    "without a lesion, with variances of its own."
)
OF_ANOTHER_THING = "The error is that of the reconstruction, the variances are of a lesion's probability."


def run_sections(measured: Measured) -> list[Section]:
    """Return what a report says about one run, in the order of the page."""
    return [
        score_section(measured),
        pixel_section(measured),
        worst_section(measured),
        calibration_section(measured),
        size_section(measured),
    ]


def score_section(measured: Measured) -> Section:
    """Return the slice scores as pictures, and slice by slice as a table for the files."""
    facts, scores = measured.test.facts, measured.scores
    calibration, threshold = measured.run.calibration, measured.slice_threshold
    unit = score_unit(measured)
    normal_range = None if calibration is None else calibration.normal_range
    curves = curve_rows(measured)
    return Section(
        f"{measured.run.name}: slice scores",
        f"Score of a slice: {measured.run.score_name}.",
        [
            _table(measured, "curves", "Curves", curves, shown=[]),
            _table(measured, "slices", "Slices", slice_rows(measured), shown=[]),
            _table(measured, "thresholds", "Thresholds", threshold_rows(measured)),
            _table(measured, "normal_range", "Normal range", normal_range_rows(measured), shown=[]),
        ],
        [
            score_picture(facts, scores, threshold, unit),
            curve_picture(curves),
            level_picture(facts, scores, normal_range, threshold, unit),
        ],
    )


def pixel_section(measured: Measured) -> Section:
    """Return how well the maps mark lesion pixels."""
    text = (
        "All foreground pixels of all test slices together. Dice at the validation threshold is what a user "
        "gets; the oracle's threshold is chosen on the test masks and only bounds it. A map without "
        "information has the share of lesion pixels as AP and 0.15 as AUPRO."
    )
    table = _table(measured, "pixels", "Lesion pixels", pixel_rows(measured))
    return Section(f"{measured.run.name}: pixels", text, [table])


def worst_section(measured: Measured) -> Section:
    """Return the worst misses and false alarms as pictures."""
    facts, scores = measured.test.facts, measured.scores
    maps, units = {**measured.maps, "mask": measured.masks}, map_units(measured.run.mapper.score)
    pictures: list[Picture] = []
    rows: Rows = []
    for label, title in ((SliceLabel.ABNORMAL, "Worst misses"), (SliceLabel.NORMAL, "Worst false alarms")):
        chosen = worst_slices(facts, scores, label, measured.settings.pictures)
        columns = ["case", "slice", "level", "lesion_mm2"]
        found = facts.iloc[chosen][columns].assign(score=scores[chosen]).to_dict("records")
        rows += [{"kind": title.lower(), **_without_nan(row)} for row in found]
        if chosen:
            threshold = measured.pixel_threshold
            pictures.append(slice_picture(facts, scores, maps, chosen, threshold, title, units))
    table = _table(measured, "worst_slices", "The slices in the pictures", rows)
    return Section(f"{measured.run.name}: worst misses and false alarms", "", [table], pictures)


def calibration_section(measured: Measured) -> Section:
    """Return whether the uncertainties can be believed."""
    quintiles, refusals = quintile_rows(measured), refusal_rows(measured)
    coverage, histogram = reliability_rows(measured)
    of_lesion = Score(measured.run.mapper.score) is Score.LESION
    text = (LESION_VARIANCES if of_lesion else INTENSITY_VARIANCES) + " " + _refusal_answer(refusals)
    tables = [
        _table(measured, "quintiles", "Scores by quintile of uncertainty", quintiles),
        _table(measured, "coverage", "Coverage of the predictive Gaussian", coverage),
        _table(
            measured,
            "correlation",
            "Correlation of squared error with variance",
            correlation_rows(measured),
            note="Spearman's, pixel by pixel within each patient, then averaged."
            + (" " + OF_ANOTHER_THING if of_lesion else ""),
        ),
        _table(measured, "risk_coverage", "Refusing the most uncertain slices", refusals),
        _table(measured, "z_histogram", "Histogram of z", histogram, shown=[]),
    ]
    pictures = [quintile_picture(quintiles, score_unit(measured))] if quintiles else []
    pictures += [gaussian_picture(coverage, histogram), refusal_picture(refusals)]
    return Section(f"{measured.run.name}: calibration", text, tables, pictures)


def size_section(measured: Measured) -> Section:
    """Return detection by lesion size and patient by patient."""
    return Section(
        f"{measured.run.name}: lesion sizes and patients",
        "Each stratum of lesion sizes is compared with all normal slices.",
        [
            _table(measured, "lesion_sizes", "By lesion area in the slice", strata_rows(measured)),
            _table(measured, "patients", "By patient", patient_rows(measured)),
        ],
    )


def score_unit(measured: Measured) -> str:
    """Return the unit of the slice score; at alpha above 0 it is a sum of two (the paper's eq. 14)."""
    return UNITS[Score(measured.run.mapper.score)]


def _refusal_answer(rows: Rows) -> str:
    """Say whether refusing uncertain slices helps, from the intervals of the gain at a coverage of 0.8."""
    answers = []
    for row in rows:
        if row["coverage"] != 0.8:
            continue
        low, high = row["gain_matched_low"], row["gain_matched_high"]
        if row["gain_matched"] is None or low is None:
            answer = "cannot be told"
        else:
            answer = "yes" if low > 0 else "no, it hurts" if high < 0 else "no difference seen"
        answers.append(f"by {row['uncertainty']} variance: {answer}")
    return f"Does refusing the 20 % most uncertain slices raise the matched AUROC? {'; '.join(answers)}."


def _table(
    measured: Measured,
    name: str,
    title: str,
    rows: Rows,
    shown: list[str] | None = None,
    note: str = "",
) -> Table:
    return Table(name, title, [{"run": measured.run.name, **row} for row in rows], shown, note)


def _without_nan(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): None if value != value else value for name, value in row.items()}
