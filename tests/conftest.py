"""Fixtures that several packages' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.phantom import generate_cohort


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight coarse synthetic scans (4 x 4 x 8 mm; t1ce and mask, BraTS layout); every second has a tumour."""
    folder = tmp_path_factory.mktemp("phantoms") / "cohort"
    generate_cohort(folder, subjects=8, modalities=["t1ce"], resolution_mm=4, slice_mm=8, progress=False)
    return folder


@pytest.fixture
def fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let mixed precision be bfloat16 on a processor that has to emulate it too."""
    monkeypatch.setattr("scripts.precision.has_fast_bfloat16", lambda device: True)
