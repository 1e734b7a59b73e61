"""The columns of the two results files of an ablation, and the variant that all others stand against."""

from __future__ import annotations

from scripts.report.results import DETECTION, Schema

FULL = "full"
"""The variant that replaces nothing; every other one is compared with it."""

UNITS = Schema((*DETECTION.key[:3], "variant", *DETECTION.key[3:]), DETECTION.parts, DETECTION.values)
"""Of ``ablation.csv``: a unit gives its scores; ``modality`` is the unit's own."""

METRICS = ("auroc_matched", "auroc_balanced")
"""Figures that variants are compared by."""

DIFFERENCES = Schema(
    key=("dataset", "modality", "configuration", "variant", "split_seed"),
    parts=(),
    values=(
        "score",
        "seeds",
        "paper_auroc",
        *(
            column
            for metric in METRICS
            for column in (
                metric,
                f"{metric}_deviation",
                f"{metric}_difference",
                f"{metric}_difference_low",
                f"{metric}_difference_high",
            )
        ),
        "patients_test",
        "slices_normal",
        "slices_abnormal",
        "machine",
        "commit",
        "undefined",
    ),
)
"""Of ``ablation_differences.csv``, a row a variant: means and standard deviations over seeds, and the
difference to the full model with the ends of its 95 % interval over patients. ``modality`` is that of the
full model, ``paper_auroc`` the paper's own figure."""
