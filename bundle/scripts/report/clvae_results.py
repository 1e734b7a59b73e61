"""The columns of the CL-VAE's results file: one row per problem, detector, ensemble and score."""

from __future__ import annotations

KEY = (
    "dataset",
    "anomaly",
    "protocol",
    "model",
    "configuration",
    "members",
    "seed",
    "split_seed",
    "score",
    "merge",
)
"""What makes a row unique. ``seed`` is that of an ensemble's first member."""

MEASUREMENT = tuple(column for column in KEY if column not in ("score", "merge"))
"""Columns that tell measurements apart: one gives every score of a detector or an ensemble."""

COLUMNS = (
    *KEY,
    "held_out",
    "auroc",
    "normal",
    "anomalous",
    "epochs",
    "seconds",
    "inference_milliseconds",
    "parameters",
    "machine",
    "commit",
)
"""Columns of the file, in its order. ``seconds`` of training and ``parameters`` are an ensemble's sums,
``inference_milliseconds`` an image's through all its members, ``epochs`` their mean."""

LATENT_PREFIX = "latent_"
"""Begins the configurations that differ in the latent dimension alone, which is its end."""
