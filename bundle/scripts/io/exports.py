"""The exported networks, TorchScript and ONNX, as functions of the same tensors as the network itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from monai.utils import optional_import

from scripts.errors import InputError, ModelError

Runtime = Callable[[torch.Tensor], torch.Tensor]
"""From ``image`` (B, C, H, W) to ``pred`` (B, M, H, W), on the CPU."""

IMAGE, PRED = "image", "pred"
"""Names of the input and the output of an ONNX file."""


def open_export(path: str | Path) -> Runtime:
    """Return the network in a file as a function; its suffix says which runtime runs it.

    Args:
        path: ends in .ts (TorchScript) or .onnx (ONNX Runtime).

    Raises:
        InputError: another suffix.
        ModelError: no such file.
    """
    path = Path(path)
    if path.suffix not in _OPENERS:
        raise InputError(f"{path}: expected an export, a .ts or .onnx file; run make export.")
    if not path.is_file():
        raise ModelError(f"{path}: expected an export, found none; run make export first.")
    return _OPENERS[path.suffix](path)


def _open_torchscript(path: Path) -> Runtime:
    module: torch.jit.ScriptModule = torch.jit.load(path, map_location="cpu").eval()
    return module


def _open_onnx(path: Path) -> Runtime:
    onnxruntime, _ = optional_import("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(image: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run([PRED], {IMAGE: image.numpy()})[0])

    return run


_OPENERS = {".ts": _open_torchscript, ".onnx": _open_onnx}
