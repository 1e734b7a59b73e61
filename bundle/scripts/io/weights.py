"""Weights files: plain state_dicts, checked before they reach a network."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import torch

from scripts.errors import ModelError
from scripts.io.digest import file_sha256


def load_weights(network: torch.nn.Module, path: str | Path) -> torch.nn.Module:
    """Load a plain state_dict, strictly, and return the network.

    Half-precision weights (shipped files) become the network's own precision. Code in the file is never run.
    A ``provenance.json`` beside ``model.pt`` says which hash it has to have.

    Raises:
        ModelError: no such file, another hash, not a state_dict, or weights of another architecture.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: expected a weights file, found none; train first or give the path of one.")
    weights_sha256(path)
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


def weights_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a weights file; refuse shipped ones that were changed, or cut short on their way.

    Raises:
        InputError: the file cannot be read.
        ModelError: another hash than ``provenance.json`` beside ``model.pt`` says.
    """
    path = Path(path)
    found, provenance = file_sha256(path), path.with_name("provenance.json")
    if path.name != "model.pt" or not provenance.is_file():
        return found
    try:
        expected = json.loads(provenance.read_text(encoding="utf-8"))["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{provenance}: expected the hash of the weights, found none ({error}).") from error
    if found != expected:
        raise ModelError(
            f"{path}: expected the weights that provenance.json names (SHA-256 {str(expected)[:12]}...), "
            f"found others ({found[:12]}...); fetch them again, or remove that file if you replaced them."
        )
    return found
