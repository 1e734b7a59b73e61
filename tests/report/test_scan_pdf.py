"""The pages about a scan: what they say, whom they do not name, and that they are the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.image import imsave

from scripts.io.results import Calibration, ScanResult, SliceResult
from scripts.report.scan_pdf import draw_scan_pdf, report_lines


@pytest.fixture
def result() -> ScanResult:
    slices = [SliceResult(0), SliceResult(1, 0.0, 0.25, False), SliceResult(2, 1.0, 1.5, True)]
    finding = {"check": "quality", "level": "warning", "finding": "noise 9 %", "remedy": "look at it first"}
    return ScanResult(
        "series_0123",
        scan_score=0.875,
        weights_sha256="ab" * 32,
        settings={"score": "squared_error"},
        calibration=Calibration("normal scans", pixel_threshold=2.5, slice_threshold=1.0),
        findings=[finding],
        slices=slices,
    )


def test_page_gives_scores_thresholds_findings_and_versions(result: ScanResult) -> None:
    text = "\n".join(report_lines(result))
    assert "Research use only" in text
    assert "Scan score: 0.875" in text
    assert "slice score 1, voxel 2.5 (normal scans)" in text
    assert text.index("slice 2, score 1.5, above the threshold") < text.index(
        "slice 1, score 0.25, not above the threshold"
    )
    assert "of 2 scored" in text
    assert "warning, quality: noise 9 %; look at it first" in text
    assert "score squared_error" in text
    assert "ab" * 32 in text
    assert "monai" in text


def test_page_without_thresholds_says_why(result: ScanResult) -> None:
    result.calibration = Calibration(reason="no calibration file")
    result.slices[2].abnormal = None
    text = "\n".join(report_lines(result))
    assert "No threshold: no calibration file" in text
    assert "slice 2, score 1.5\n" in text


def test_same_result_gives_the_same_two_pages(result: ScanResult, tmp_path: Path) -> None:
    imsave(tmp_path / "overview.png", [[0.0, 1.0]])
    first, second = (draw_scan_pdf(result, tmp_path / "overview.png") for _ in range(2))
    assert first == second
    assert len(re.findall(rb"/Type /Page\b", first)) == 2
    assert b"CreationDate" not in first


def test_many_findings_stay_on_the_page(result: ScanResult, tmp_path: Path) -> None:
    imsave(tmp_path / "overview.png", [[0.0, 1.0]])
    result.findings = result.findings * 200
    assert len(re.findall(rb"/Type /Page\b", draw_scan_pdf(result, tmp_path / "overview.png"))) == 2
