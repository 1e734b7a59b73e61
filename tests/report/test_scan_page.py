import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest

from scripts.io.results import Calibration
from scripts.report.overview import RESEARCH, SYNTHETIC
from scripts.report.scan_page import write_scan_page
from tests.report.pages import ParsedPage
from tests.report.scan_results import SCORED, make_scan


def write(folder, scan, **changes):
    given = {"calibration": scan.calibration} | changes
    return ParsedPage(write_scan_page(scan.result, scan.image, scan.maps, path=folder / "page.html", **given))


@pytest.fixture(scope="module")
def scan():
    return make_scan()


@pytest.fixture(scope="module")
def page(scan, tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"), scan)


def test_page_stands_alone_and_says_what_it_is(page):
    page.check_alone(scripts=2)
    for text in (
        RESEARCH,
        "made up",
        "p = 0.001 <b>",
        "axes run to RAS",
        "maps mean little",
        "2 of 6",
        "torch",
    ):
        assert text in page.text
    assert SYNTHETIC not in page.text
    assert "</b>" not in page.source


def test_numbers_are_those_of_the_result(scan, page):
    bands = scan.calibration.normal_range
    expected = []
    for one in scan.result.slices:
        if one.score is None:
            continue
        band = bands[min(int(10 * one.level), 9)]
        expected += [one.level, one.score]
        expected += [band.percentile_5, band.percentile_95] if band.slices else []
        expected += [one.epistemic_mean, one.aleatoric_mean]
    assert page.numbers("slices") == expected
    limits = scan.result.calibration
    shown = [scan.result.scan_score, limits.slice_threshold, limits.pixel_threshold]
    facts = page.source[: page.source.index("<h2>")]
    assert [float(value) for value in re.findall(r'<data value="([^"]*)">', facts)] == shown


def test_script_has_every_slice_and_the_highest_first(scan, page):
    (found,) = re.findall(r'<script type="application/json" id="viewer-data">(.*?)</script>', page.source)
    data = json.loads(found)
    assert len(data["slices"]) == len(SCORED)
    assert data["first"] == len(SCORED) - 1
    captions = [one["caption"] for one in data["slices"]]
    assert (
        captions[0]
        == "Slice 2, level 0.00: score 0.123, not above the threshold, normal at this level 0.00306 to 0.0582"
    )
    assert captions[-1] == "Slice 7, level 1.00: score 0.623, above the threshold"
    assert all(one["outline"].startswith("M") for one in data["slices"])


def test_browser_runs_this_script_only(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (one["content"] for one in page.attributes("meta") if "http-equiv" in one)
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_names_cannot_become_markup(tmp_path):
    scan = make_scan("</script><script>alert(1)</script>")
    page = write(tmp_path, scan, synthetic=True)
    page.check_alone(scripts=2)
    assert "alert(1)" in page.text
    assert SYNTHETIC in page.text


def test_without_calibration_the_page_says_why(tmp_path, scan):
    bare = replace(
        scan.result,
        calibration=Calibration(reason="no file"),
        slices=[replace(one, abnormal=None) for one in scan.result.slices],
        findings=[],
    )
    maps = {name: volume for name, volume in scan.maps.items() if name != "mask"}
    page = write(tmp_path, scan._replace(result=bare, maps=maps), calibration="no file")
    page.check_alone(scripts=2)
    assert "not known: no file" in page.text
    assert "No normal range: no file." in page.text
    assert "not checked" in page.text
    assert len(page.numbers("slices")) == 4 * len(SCORED)


def test_units_are_those_of_the_score(tmp_path, scan, page):
    assert "score (intensity²)" in page.text
    assert page.text.count("normalised intensity²") == 3  # at two maps, and in the table
    lesion = replace(scan.result, settings=scan.result.settings | {"score": "lesion", "pooling": "peak"})
    other = write(tmp_path, scan._replace(result=lesion))
    assert "score (probability)" in other.text
    assert "lesion, peak, alpha 0.5" in other.text
    assert other.text.count("probability²") == 3
    assert "intensity²" not in other.text


def test_one_draw_is_said_to_have_no_epistemic_variance(tmp_path, scan, page):
    assert "0 by definition" not in page.text
    one = replace(scan.result, settings=scan.result.settings | {"samples": 1})
    assert "the epistemic variance is 0 by definition" in write(tmp_path, scan._replace(result=one)).text


def test_scan_without_a_scored_slice_has_a_page(tmp_path, scan):
    empty = replace(
        scan.result,
        scan_score=None,
        slices=[type(one)(one.slice) for one in scan.result.slices],
    )
    page = write(tmp_path, scan._replace(result=empty))
    page.check_alone(scripts=2)
    assert "Slice 4: not scored" in page.source
