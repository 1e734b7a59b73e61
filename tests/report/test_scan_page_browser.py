"""The page of a scan in a real browser: it opens, scrolls, and shows the slices that it says."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from scripts.report.panels import axial_plane, head_box
from scripts.report.scan_page import write_scan_page
from tests.report.scan_results import SCORED, make_scan

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LAST = len(SCORED) - 1

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, list[str]]]:
    """The page in headless Chromium, and what it complained of or asked for."""
    scan = make_scan("a name with % and ü")
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_scan_page(scan.result, scan.image, scan.maps, scan.calibration, path)
    noticed: list[str] = []
    with sync_playwright() as playwright:
        # As root, which tests in a container run as, Chromium starts only without its sandbox.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: noticed.append(message.text))
        page.on("pageerror", lambda error: noticed.append(str(error)))
        page.on("request", lambda request: noticed.append(request.url[:200]))
        page.goto(path.as_uri())
        yield page, [one for one in noticed if one != path.as_uri() and not one.startswith("data:")]
        browser.close()


@pytest.fixture
def page(opened: tuple[Page, list[str]]) -> Page:
    """The page at its first state: the slice with the highest score, all maps in full."""
    opened[0].reload()
    assert shown(opened[0]) == LAST
    return opened[0]


def shown(page: Page) -> int:
    """Return the place of the slice that the caption names, after a look at the slider."""
    place = list(SCORED).index(int(page.locator("#caption").inner_text().split()[1].strip(",:")))
    assert page.locator("#slice").input_value() == str(place)
    return place


def pixels(part: Locator | Page) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(part.screenshot())).convert("RGB")).astype(int)


def test_page_opens_in_silence_and_asks_for_nothing(opened: tuple[Page, list[str]]) -> None:
    assert opened[1] == []
    assert opened[0].title() == "a name with % and ü"


def test_picture_is_not_blank(page: Page) -> None:
    for picture in page.locator(".picture").all():
        assert pixels(picture).std() > 15
    anomaly = pixels(page.locator(".picture").nth(2))
    assert np.ptp(anomaly, axis=-1).max() > 100  # in colours


def test_wheel_goes_through_the_slices_and_stops_at_the_ends(page: Page) -> None:
    viewer = page.locator("#viewer")
    viewer.hover()
    before = pixels(viewer)
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"document.getElementById('slice').value === '{LAST - 1}'")
    assert shown(page) == LAST - 1
    assert np.abs(pixels(viewer) - before).max() > 50
    for notch in range(LAST - 1):
        page.mouse.wheel(0, 100)
        page.wait_for_function(f"document.getElementById('slice').value === '{LAST - 2 - notch}'")
    assert shown(page) == 0
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.getElementById('slice').value === '1'")


def test_keys_slider_buttons_and_chart_choose_slices(page: Page) -> None:
    page.keyboard.press("ArrowLeft")
    assert shown(page) == LAST - 1
    page.locator("#viewer").focus()
    for key, place in (("Home", 0), ("ArrowDown", 0), ("ArrowUp", 1), ("PageUp", LAST), ("End", LAST)):
        page.keyboard.press(key)
        assert shown(page) == place
    page.locator("#slice").fill("2")
    assert shown(page) == 2
    page.locator("button").first.click()
    assert shown(page) == LAST
    chart = page.locator("#chart img").bounding_box()
    assert chart is not None
    page.locator("#chart img").click(position={"x": 0.12 * chart["width"], "y": 0.3 * chart["height"]})
    assert shown(page) == 0


@pytest.mark.parametrize("place", [0, 3, LAST])
def test_slice_shown_is_the_slice_named(page: Page, place: int) -> None:
    scan = make_scan()
    planes = [axial_plane(scan.image, index) for index in SCORED]
    expected = planes[place][head_box(planes)]
    page.locator("#slice").fill(str(place))
    page.locator("#outlined").uncheck()
    page.add_style_tag(content=".side, .length { display: none; }")
    found = pixels(page.locator(".picture").first)[..., 0]
    rows, columns = (
        ((np.arange(count) + 0.5) * size / count).astype(int)
        for count, size in zip(expected.shape, found.shape, strict=True)
    )
    high = np.percentile(np.stack([plane[plane != 0] for plane in planes]), 99.5)
    shades = 255 * np.clip(expected / high, 0, 1)
    assert np.abs(found[np.ix_(rows, columns)] - shades).max() <= 3


def test_mask_and_maps_are_taken_away_and_made_larger(page: Page) -> None:
    scan, anomaly = page.locator(".picture").nth(0), page.locator(".picture").nth(2)
    with_mask, width = pixels(scan), scan.bounding_box()["width"]
    page.locator("#outlined").uncheck()
    bare = pixels(scan)
    assert np.ptp(with_mask, axis=-1).max() > 100  # orange
    assert np.ptp(bare, axis=-1).max() == 0
    page.locator("#opacity").fill("0")
    assert np.ptp(pixels(anomaly), axis=-1).max() == 0
    page.locator("#size").fill("30")
    assert scan.bounding_box()["width"] > 2 * width
