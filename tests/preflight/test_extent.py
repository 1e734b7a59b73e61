"""A head that is larger than what the network looks at."""

from __future__ import annotations

from pathlib import Path

from scripts.preflight.extent_check import check_extent
from tests.heads import make_head, save_scan, scan_affine
from tests.inference_route import infer, make_model


def test_a_head_within_the_square_is_not_mentioned() -> None:
    assert check_extent({"outside": 0.0}, 240.0) is None
    assert check_extent({"outside": 0.005}, 240.0) is None
    assert check_extent({}, 240.0) is None


def test_a_head_beyond_it_is_a_warning_with_the_share() -> None:
    report = check_extent({"outside": 0.099}, 240.0)
    assert report is not None
    assert (report.check, report.level) == ("extent", "warning")
    assert "9.9% of the head lies outside of the 240 mm square" in report.finding
    assert report.numbers == {"outside": 0.099, "field_of_view_mm": 240.0}


def test_a_scan_with_a_wide_head_is_mapped_with_the_warning(tmp_path: Path) -> None:
    shape, spacing = (40, 46, 9), (7.0, 7.0, 18.0)
    save_scan(tmp_path / "scans" / "wide.nii.gz", make_head(shape, spacing), scan_affine(shape, spacing))
    found = infer(tmp_path / "scans", tmp_path / "maps", make_model(tmp_path / "model"), field_of_view=120.0)
    (finding,) = (one for one in found.results["wide"].findings if one["check"] == "extent")
    assert finding["numbers"]["outside"] > 0.05
