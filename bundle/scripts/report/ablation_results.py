"""The columns of the two results files of an ablation, and the variant that all others stand against."""

from __future__ import annotations

from scripts.report import results

FULL = "full"
"""The variant that replaces nothing; every other one is compared with it."""

KEY = (*results.KEY[:3], "variant", *results.KEY[3:])
"""What makes a row of ``ablation.csv`` unique: one unit and score."""

MEASUREMENT = (*results.MEASUREMENT, "variant")
"""Columns that tell units apart."""

COLUMNS = (*KEY, *(column for column in results.COLUMNS if column not in KEY))
"""Columns of ``ablation.csv``, in its order; ``modality`` is the unit's own."""

METRICS = ("auroc_matched", "auroc_balanced")
"""Figures that variants are compared by."""

DIFFERENCES_KEY = ("dataset", "modality", "configuration", "variant", "split_seed")
"""What makes a row of ``ablation_differences.csv`` unique; ``modality`` is that of the full model."""

DIFFERENCES_COLUMNS = (
    *DIFFERENCES_KEY,
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
)
"""Columns of ``ablation_differences.csv``: means and standard deviations over seeds, and the difference to
the full model with the ends of its 95 % interval over patients. ``paper_auroc`` is the paper's own figure."""
