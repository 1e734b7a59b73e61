"""The report: every figure of trained runs on a test set, with baselines beside them, on one page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from scripts import __version__
from scripts.baselines.trivial import trivial_scores
from scripts.data.slices import SliceDataset
from scripts.engines.attention_section import attention_section
from scripts.engines.detection_section import NO_MODEL, NO_NETWORK, detection_section
from scripts.engines.evaluating import model_scores
from scripts.engines.learned_baselines import PCA, component_row, feature_scores
from scripts.engines.run_sections import run_sections
from scripts.engines.run_tables import Measured, ReportSettings, Rows
from scripts.engines.scoring import score_slices
from scripts.engines.trained_run import TrainedRun
from scripts.evaluation.slice_report import evaluate_slices
from scripts.io.provenance import machine_and_commit
from scripts.report.page import Page, Section, write_page
from scripts.report.report_results import REPORT, report_rows
from scripts.report.results import TRIVIAL, append_rows

logger = logging.getLogger(__name__)

SYNTHETIC = "SYNTHETIC phantom data: this page shows that everything runs, not how well."


def write_report(
    runs: Sequence[TrainedRun],
    test: SliceDataset,
    training: SliceDataset,
    folder: str,
    settings: Mapping[str, Any],
    identity: Mapping[str, Any],
    results_file: str | None = None,
    synthetic: bool = False,
    device: torch.device | str = "cpu",
    amp: bool = False,
) -> Path:
    """Measure the runs and write ``report.html``, ``report.json`` and the tables as CSV.

    Args:
        runs: trained runs, see :func:`scripts.engines.trained_run.load_runs`.
        test: all brain slices of the test patients.
        training: training slices; baselines learn from them.
        folder: where the report goes.
        settings: arguments of :class:`ReportSettings`.
        identity: what it was measured on: dataset, modality, split_seed.
        results_file: results table to add figures for the docs to; None adds them nowhere.
        synthetic: the scans are phantoms, and the page says so.
        device: where the networks run.
        amp: bfloat16 where it is safe.

    Returns:
        The path of the page.
    """
    chosen = ReportSettings(**settings)
    rows = _baseline_rows(test, training, chosen)
    sections: list[Section] = []
    for run in runs:
        logger.info("Measuring %s.", run.name)
        scored = score_slices(run.mapper.to(device), test, device, amp=amp, all_maps=True)
        scores = model_scores(scored, chosen.alphas, run.mapper, run.alpha)
        scores |= feature_scores(run.mapper, test, training, device)
        found = evaluate_slices(test.facts, scores, chosen.bootstrap_samples)
        rows += [{"run": run.name, "configuration": "model", **row} for row in found]
        measured = Measured(run, scored, test, chosen)
        sections += [*run_sections(measured), attention_section(measured, device)]
    made_on = machine_and_commit()
    page = Page(
        "Brain-MRI anomaly detection: evaluation report",
        {**identity, **_facts(test, training, rows), **made_on, "version": __version__},
        [detection_section(rows, runs, sections), *sections],
        warnings_of(runs, synthetic),
    )
    path = write_page(page, folder)
    if results_file is not None:
        kept = [{**identity, **row, **made_on} for row in report_rows(page.tables())]
        append_rows(results_file, kept, REPORT)
    logger.info("Report of %d runs in %s.", len(runs), path)
    return path


def _baseline_rows(test: SliceDataset, training: SliceDataset, settings: ReportSettings) -> Rows:
    """Return the rows of what needs no network: trivial baselines, and principal components."""
    trivial = trivial_scores(test.images.numpy(), test.facts, training.images.numpy(), training.facts)
    rows = evaluate_slices(test.facts, trivial, settings.bootstrap_samples)
    components = component_row(test, training, settings.bootstrap_samples)
    return [
        *({"run": NO_MODEL, "configuration": TRIVIAL, **row} for row in rows),
        {"run": NO_NETWORK, "configuration": PCA, **components},
    ]


def _facts(test: SliceDataset, training: SliceDataset, rows: Rows) -> dict[str, Any]:
    return {
        "test patients": int(test.facts["patient"].nunique()),
        "test slices, normal": rows[0]["slices_normal"],
        "test slices, abnormal": rows[0]["slices_abnormal"],
        "test slices of unknown label": int((test.facts["label"] == -1).sum()),
        "training patients of the split": int(training.facts["patient"].nunique()),
        "training slices, lesion-free": len(training),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def warnings_of(runs: Sequence[TrainedRun], synthetic: bool) -> list[str]:
    """Return what a reader has to know before believing a figure."""
    warnings = [SYNTHETIC] if synthetic else []
    for run in runs:
        if run.calibration is None:
            warnings.append(f"{run.name} has no thresholds for these settings: {run.no_calibration}.")
        if not run.patients_known:
            warnings.append(
                f"{run.name} or the weights it started from hold no split: whether they have seen these "
                "patients is unknown."
            )
    return warnings
