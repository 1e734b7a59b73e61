"""After training: statistics of the training scans, by which later scans are told in or out of scope."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from scripts.data.slices import SliceDataset
from scripts.engines.scope_gate import measure_scan
from scripts.evaluation.scope import FEWEST_SCANS, ScopeStatistics, fit_scope
from scripts.io.atomic import write_json
from scripts.io.digest import file_sha256
from scripts.io.weights import load_weights
from scripts.networks.bayesian_vae import VAEBackbone

logger = logging.getLogger(__name__)


def measure_scope(
    network: VAEBackbone,
    weights: str,
    dataset: SliceDataset,
    path: str,
    source: str,
    field_of_view: float,
    device: torch.device | str = "cpu",
) -> ScopeStatistics | None:
    """Load ``weights``, measure every scan of ``dataset`` and write the statistics to ``path``.

    With fewer than ten scans nothing is written, a file that is there is removed, and None is returned.

    Args:
        network: of the weights.
        weights: plain state_dict.
        dataset: every brain slice of the training scans, with lesions where they have some: a patient is
            no other kind of scan.
        path: the ``scope.json`` to write.
        source: which data, in words.
        field_of_view: side of a slice, mm.
        device: where the network runs.
    """
    load_weights(network, weights)
    network = network.to(device).eval()
    cases = dataset.facts["case"].to_numpy()
    names = list(dict.fromkeys(cases))
    if len(names) < FEWEST_SCANS:
        logger.warning(
            "No scope statistics: %d training scans, %d are needed; no scan will be refused as out of scope.",
            len(names),
            FEWEST_SCANS,
        )
        Path(path).unlink(missing_ok=True)
        return None
    images = [dataset.images[torch.from_numpy(cases == name)] for name in names]
    measured = [measure_scan(slices, network, field_of_view, device) for slices in images]
    statistics = fit_scope(
        [profile for profile, _ in measured],
        [latents for _, latents in measured],
        weights_sha256=file_sha256(weights),
        source=source,
    )
    write_json(path, statistics.to_json())
    logger.info("Scope statistics of %d training scans in %s.", statistics.scans, Path(path).name)
    return statistics
