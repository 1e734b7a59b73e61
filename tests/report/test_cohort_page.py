from scripts.io.results import ScanResult, Status
from scripts.report.cohort_page import write_cohort_page
from scripts.report.overview import RESEARCH, SYNTHETIC
from tests.report.pages import ParsedPage
from tests.report.scan_results import make_scan

FAILED = ScanResult("a & b", Status.FAILED, "no <head> in it", 2)


def write(folder, *results, **given):
    return ParsedPage(write_cohort_page(results, folder / "index.html", **given))


def test_highest_score_first_with_links_and_failures_last(tmp_path):
    low, high = make_scan("low 1").result, make_scan("high", factor=2).result
    page = write(tmp_path, FAILED, low, high)
    assert not {"script", "img", "link"} & {name for name, _ in page.elements}
    links = [one["href"] for one in page.attributes("a")]
    assert links == ["scores.csv", "high/high_viewer.html", "low%201/low%201_viewer.html"]
    assert page.text.index("high") < page.text.index("low 1") < page.text.index("a & b")
    for text in (RESEARCH, "2 mapped, 1 not", "no <head> in it", "4 of 6", "maps mean little"):
        assert text in page.text
    assert SYNTHETIC not in page.text
    numbers = page.numbers("scans")
    assert (numbers[0], numbers[4]) == (high.scan_score, low.scan_score)
    assert (numbers[1], numbers[5]) == (high.slices[7].score, low.slices[7].score)


def test_page_of_failures_and_phantoms(tmp_path):
    page = write(tmp_path, FAILED, synthetic=True)
    assert page.numbers("scans") == []
    assert SYNTHETIC in page.text
