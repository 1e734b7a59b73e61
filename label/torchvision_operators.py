"""Lets a CUDA build of torchvision be imported beside a CPU build of torch; part of ``.venv-label`` only.

The package registry has no CPU build of torchvision for Linux. The other one cannot load its compiled
operators without CUDA, and then fails because it describes two of them that nobody has declared. MONAI Label
needs torchvision for its pictures, and the bundle none of these operators, so they are declared, without
code. ``make label-env`` copies this file, and a ``.pth`` line that imports it at the start of Python.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


class DeclareOperators(MetaPathFinder):
    """Finds no module, but declares the operators when torchvision is looked for."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        """Leave the search to the other finders."""
        if name != "torchvision":
            return
        sys.meta_path.remove(self)
        import torch  # here: most Python processes of the environment never need it

        if torch.version.cuda is None:
            for operator, schema in SCHEMAS.items():
                torch.library.define(f"torchvision::{operator}", schema)


sys.meta_path.insert(0, DeclareOperators())
