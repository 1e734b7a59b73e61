"""Weights that a training starts from, and whose scans they have seen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from scripts.errors import InputError
from scripts.io.run_folder import SeenScans, inherited_scans, own_scans, read_settings, tested_again
from scripts.io.weights import load_weights, weights_sha256
from scripts.networks.backbone import Backbone

logger = logging.getLogger(__name__)


def describe_initial(path: str | Path) -> dict[str, Any]:
    """Return what a run's settings keep of the weights it started from.

    They are its ``sha256``, and the ``patients`` and ``volumes`` (SHA-256 of their voxels) that the weights,
    and the ones that these started from, were trained or chosen on, sorted; None where the folder of the file
    does not tell.
    """
    seen = _scans_behind(path)
    patients, volumes = (None, None) if seen is None else (sorted(seen.patients), sorted(seen.volumes))
    return {"sha256": weights_sha256(path), "patients": patients, "volumes": volumes}


def start_from(network: Backbone, path: str, split_file: str) -> None:
    """Load the weights that a training starts from; a run that continues replaces them by its own.

    Args:
        network: of the same architecture.
        path: ``model.pt`` of another training, or the bundle's own.
        split_file: of the training, for its test patients; a training on given scans has none.

    Raises:
        InputError: the weights were trained or chosen on a test patient, told by name or by volume.
        ModelError: no weights, or weights of another architecture.
    """
    seen = _scans_behind(path)
    if seen is None:
        logger.warning(
            "%s: no split.json of its training beside it; make sure it has not seen a test patient.", path
        )
    shared = sorted(tested_again(split_file, seen or SeenScans()))
    if shared:
        raise InputError(
            f"{path}: expected weights that have seen no test patient, but {len(shared)} were in their "
            f"training or validation, {shared[0]} first; move them to another part of --split_file."
        )
    load_weights(network, path)
    logger.info("Starting from the weights in %s.", path)


def _scans_behind(path: str | Path) -> SeenScans | None:
    folder = Path(path).parent
    own, before = own_scans(folder), inherited_scans(read_settings(folder))
    return None if own is None or before is None else own | before
