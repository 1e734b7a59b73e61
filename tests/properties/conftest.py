from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imsave

from scripts.engines import scan_writer
from tests.inference_route import make_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random network that shows every pixel its own variance, with thresholds."""
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session", autouse=True)
def lean_writer() -> Iterator[None]:
    """Leave out what takes as long as the maps themselves: the overview picture, and waiting for the disk."""

    def one_pixel(*given: Any, **_: Any) -> None:
        imsave(given[4], [[0.0]], format="png")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_writer, "plot_overview", one_pixel)
        patch.setattr(os, "fsync", lambda _: None)
        yield
