"""The first part of a report: what every run reaches, beside baselines, and a sentence on each."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.engines.run_tables import Rows
from scripts.engines.trained_run import TrainedRun
from scripts.evaluation.intervals import NO_THRESHOLD, merge_rows
from scripts.report.page import Section, Table

NO_MODEL, NO_NETWORK = "no model", "no network"
"""What stands in the place of a run's name in the rows of baselines."""

NO_MAP = {"undefined": "ap_pixel, aupro, dice, dice_oracle: this score has no map"}
NO_DICE = {"undefined": f"dice: {NO_THRESHOLD}"}
"""Why a baseline has no pixel figures."""

SUMMARY = (
    "run",
    "score",
    "auroc_matched",
    "auroc_balanced",
    "ap_balanced",
    "false_alarm_rate",
    "ap_pixel",
    "aupro",
    "dice",
    "dice_oracle",
)

DETECTION = (
    "run",
    "score",
    "auroc_matched",
    "auroc_balanced",
    "ap_balanced",
    "false_alarm_rate",
    "auroc_patient",
    "ap_patient",
    "false_alarms_per_scan",
)

NOTE = (
    "AUROC and AP are those of a balanced test of slices and stand beside the paper's; position alone raises "
    "them. Matched AUROC compares an abnormal slice with normal slices of the same level only: the one to "
    "believe, 0.5 is chance. In brackets 95 % intervals over resampled patients. A run that is not above the "
    "rows without a model has not learned to see lesions."
)


def detection_section(rows: Rows, runs: Sequence[TrainedRun], sections: Sequence[Section]) -> Section:
    """Return the tables of all slice-level figures, and what they say in one sentence for each run.

    Args:
        rows: of every run and baseline, see ``evaluate_slices``, with ``run``.
        runs: the runs.
        sections: what was measured of them, with their tables "pixels".
    """
    tables = [
        Table(
            "summary",
            "Each run by its own score, and baselines",
            summary_rows(rows, runs, sections),
            SUMMARY,
            NOTE,
        ),
        Table("detection", "All scores", rows, DETECTION),
    ]
    return Section("Detection", " ".join(verdicts(rows, runs)), tables)


def summary_rows(rows: Rows, runs: Sequence[TrainedRun], sections: Sequence[Section]) -> Rows:
    """Return the row of each run's own score with the pixel figures of its own map, then the baselines."""
    tables = [table for section in sections for table in section.tables if table.name == "pixels"]
    pixels = {table.rows[0]["run"]: table.rows[0] for table in tables}
    score_of = {run.name: run.score_name for run in runs}
    own = [merge_rows(row, pixels[row["run"]]) for row in rows if score_of.get(row["run"]) == row["score"]]
    baselines = [row for row in rows if row["run"] in (NO_MODEL, NO_NETWORK)]
    return [*own, *(merge_rows(row, NO_DICE if "ap_pixel" in row else NO_MAP) for row in baselines)]


def verdicts(rows: Rows, runs: Sequence[TrainedRun]) -> list[str]:
    """Say for each run whether its score, as inference uses it, beats the best baseline without a model."""
    trivial = [row for row in rows if row["run"] == NO_MODEL and row["auroc_matched"] is not None]
    if not trivial:
        return ["Matched AUROC is undefined on this test."]
    best = max(trivial, key=lambda row: row["auroc_matched"])
    score_of = {run.name: run.score_name for run in runs}
    sentences = []
    for row in rows:
        name = score_of.get(row["run"])
        if row["score"] != name or row["auroc_matched"] is None:
            continue
        better = row["auroc_matched"] > best["auroc_matched"]
        sure = row["auroc_matched_low"] is not None and row["auroc_matched_low"] > best["auroc_matched"]
        verdict = "is above" if sure else "is above, within its interval," if better else "is NOT above"
        sentences.append(
            f"{row['run']}: the matched AUROC of {name}, {row['auroc_matched']:.3f}, {verdict} the best "
            f"baseline without a model on the same slices ({best['score']}, {best['auroc_matched']:.3f})."
        )
    return sentences
