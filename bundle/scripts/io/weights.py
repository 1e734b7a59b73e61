"""Weights files: plain state_dicts, checked before they reach a network."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch

from scripts.errors import ModelError


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Load a plain state_dict, strictly, and return the network.

    Half-precision weights (shipped files) become the network's own precision. Code in the file is never run.

    Raises:
        ModelError: no such file, not a state_dict, or weights of another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: expected a weights file, found none; train first or give the path of one.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: expected a plain state_dict, found a damaged file or one that would run code "
            f"({type(error).__name__}); export it again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(
            f"{path}: expected a plain state_dict of tensors, found {type(state).__name__} of others."
        )
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path}: these weights do not fit the network of the config: {reason[:400]}"
        ) from error
    return network
