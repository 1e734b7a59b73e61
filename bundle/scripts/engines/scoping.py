"""After training: statistics of the training scans, by which later scans are told in or out of scope."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from tqdm import tqdm

from scripts.data.slices import SliceCache
from scripts.engines.scope_gate import measure_scan
from scripts.evaluation.scope import FEWEST_SCANS, ScopeStatistics, fit_scope
from scripts.io.atomic import write_json
from scripts.io.digest import file_sha256
from scripts.io.weights import load_weights
from scripts.networks.backbone import Backbone

logger = logging.getLogger(__name__)


def measure_scope(
    network: Backbone,
    weights: str,
    scans: SliceCache,
    path: str,
    source: str,
    field_of_view: float,
    device: torch.device | str = "cpu",
) -> ScopeStatistics | None:
    """Load ``weights``, measure every one of ``scans`` and write the statistics to ``path``.

    One scan is in memory at a time. With fewer than ten scans nothing is written, a file that is there is
    removed, and None is returned.

    Args:
        network: of the weights.
        weights: plain state_dict.
        scans: the training scans, with every brain slice: a tumour does not make another kind of scan.
        path: the ``scope.json`` to write.
        source: which data, in words.
        field_of_view: side of a slice, mm.
        device: where the network runs.
    """
    if len(scans) < FEWEST_SCANS:
        logger.warning(
            "No scope statistics: %d training scans, %d are needed; no scan will be refused as out of scope.",
            len(scans),
            FEWEST_SCANS,
        )
        Path(path).unlink(missing_ok=True)
        return None
    load_weights(network, weights)
    network = network.to(device).eval()
    measured = [
        measure_scan(scans[index]["images"], network, field_of_view, device)
        for index in tqdm(range(len(scans)), desc="scope", unit="scan", disable=None)
    ]
    statistics = fit_scope(
        [profile for profile, _ in measured],
        [latents for _, latents in measured],
        weights_sha256=file_sha256(weights),
        source=source,
    )
    write_json(path, statistics.to_json())
    logger.info("Scope statistics of %d training scans in %s.", statistics.scans, Path(path).name)
    return statistics
