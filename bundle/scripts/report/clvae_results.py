"""The columns of the CL-VAE's results file: one row per problem, detector, ensemble and score."""

from __future__ import annotations

from scripts.report.results import Schema

BENCHMARK = Schema(
    key=(
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
    ),
    parts=("score", "merge"),
    values=(
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
    ),
)
"""Of ``clvae.csv``: a measurement gives every score of a detector or an ensemble, whose ``seed`` is that of
its first member. ``seconds`` of training and ``parameters`` are an ensemble's sums,
``inference_milliseconds`` an image's through all its members, ``epochs`` their mean."""

LATENT_PREFIX = "latent_"
"""Begins the configurations that differ in the latent dimension alone, which is its end."""
