"""The catalogue in the docs and the tests name the same cases."""

from __future__ import annotations

import re
from pathlib import Path

from scripts import BUNDLE_ROOT

PAGE = BUNDLE_ROOT / "docs" / "preflight.md"
TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)


def documented() -> dict[int, str]:
    catalogue = PAGE.read_text(encoding="utf-8").split("## The catalogue")[1]
    return {int(number): text for number, text in ROW.findall(catalogue)}


def cases_with_a_test() -> set[int]:
    """Return the numbers in marks (``case(3)``) and at the start of ids (``"03-truncated"``)."""
    found = set()
    for path in TESTS.rglob("test_*.py"):
        found |= {int(number) for number in re.findall(r"mark\.case\((\d+)\)", path.read_text("utf-8"))}
    for path in (*TESTS.glob("preflight/*.py"), *TESTS.glob("engines/test_scope_gate.py")):
        found |= {int(number) for number in re.findall(r'"(\d\d)-', path.read_text("utf-8"))}
    return found - {0}


def test_catalogue_lists_all_67_cases() -> None:
    assert sorted(documented()) == list(range(1, 68))


def test_page_about_dicom_lists_its_checks() -> None:
    sources = [
        path.read_text(encoding="utf-8") for path in (BUNDLE_ROOT / "scripts/preflight").glob("dicom_*.py")
    ]
    checks = {name for source in sources for name in re.findall(r'"(dicom_[a-z]+)"', source)} - {
        "dicom_volume"
    }
    page = (BUNDLE_ROOT / "docs" / "dicom.md").read_text(encoding="utf-8")
    table = page.split("## What is checked")[1].split("## What is written")[0]
    assert set(re.findall(r"`(dicom_[a-z]+)`", table)) == checks


def test_every_case_has_a_test_or_a_reason() -> None:
    without = {number for number, text in documented().items() if text.startswith("- ")}
    assert cases_with_a_test() == set(range(1, 68)) - without
