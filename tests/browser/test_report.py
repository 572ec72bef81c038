"""The report in a real browser: every figure drawn, every control works, nothing fetched, no error, no barrier.

Needs Debian's package ``chromium`` (or CHROMIUM naming another build), and ``playwright`` and
``axe-playwright-python`` from PyPI; where one is missing the tests are skipped with that reason.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.results import EVIL, SUMMARY, write_footprint, write_hardware, write_inspection, write_profile

from gatesmith.analysis import load_result
from gatesmith.report import write_report

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; apt-get install chromium, or set CHROMIUM"),
]
playwright = pytest.importorskip("playwright.sync_api", reason="clicking through the report needs playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

PATIENCE = 240
"""Seconds to wait for a busy machine; nothing here is timed."""

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for write in (write_footprint, write_profile, write_hardware, write_inspection):
        write(folder, title=EVIL)
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    (folder / "broken.json").write_text("{")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=1000 * PATIENCE)
        yield started
        started.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait; the page's policy forbids Playwright's own way, which evaluates strings in the page."""
    for _ in range(20 * PATIENCE):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


class Visit:
    """One opened report, with everything that it said or asked for meanwhile."""

    def __init__(self, browser: Any, folder: Path, **options: Any) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(**options)
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto((folder / "report.html").as_uri())
        until(lambda: self.page.evaluate("document.querySelectorAll('.plot .main-svg').length >= 10"))

    def requests_that_leave(self) -> list[str]:
        own = self.page.url.partition("#")[0]
        return [url for url in self.asked if url.partition("#")[0] != own and not url.startswith(("data:", "blob:"))]


@pytest.fixture
def visit(browser: Any, folder: Path) -> Iterator[Visit]:
    made = Visit(browser, folder, viewport=DESKTOP)
    yield made
    made.page.close()


def serious(page: Any) -> list[str]:
    """axe-core's serious and critical findings, each with the place."""
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{finding['id']}: {node['html'][:120]}"
        for finding in found
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_error_no_request_no_barrier(browser: Any, folder: Path, scheme: str, viewport: dict[str, int]) -> None:
    visit = Visit(browser, folder, viewport=viewport, color_scheme=scheme)
    visit.page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert serious(visit.page) == []
    assert visit.said == []
    assert visit.requests_that_leave() == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    visit.page.close()


def test_clicking_through_every_control(visit: Visit, folder: Path) -> None:
    page, result = visit.page, load_result(folder / "inspection.json")
    form = page.locator("[data-explorer] form")
    for field in ("sequence", "cell", "signal", "kind", "unit"):
        select = form.locator(f"select[name={field}]")
        for value in select.locator("option").evaluate_all("options => options.map((option) => option.value)"):
            select.select_option(value)
    form.locator("select[name=sequence]").select_option("1")
    form.locator("select[name=kind]").select_option("difference")
    form.locator("select[name=signal]").select_option("f")
    drawn = page.evaluate("document.getElementById('gates-0-map').data[0].z")
    expected = (result.arrays["fixed_0_f"] - result.arrays["float_0_f"])[:5, 1].T
    np.testing.assert_allclose(np.array(drawn), expected, atol=1e-7)
    assert "sequence 1: 5 steps" in page.locator("#gates-0-map-title").inner_text()
    for summary in page.locator("details > summary").all():
        summary.click()
    assert page.locator("details:not([open])").count() == 0
    for link in page.locator("nav a").all():
        link.click()
    assert visit.said == []
    assert visit.requests_that_leave() == []


def test_hover_shows_the_value(visit: Visit) -> None:
    plot = visit.page.locator("#memory-0")
    plot.scroll_into_view_if_needed()
    visit.page.evaluate("Plotly.Fx.hover('memory-0', [{curveNumber: 0, pointNumber: 2}])")
    assert "B" in plot.locator(".hovertext").first.text_content()


def test_the_gates_can_be_downloaded(visit: Visit) -> None:
    with visit.page.expect_download() as waiting:
        visit.page.locator("a.csv").click()
    lines = Path(waiting.value.path()).read_text().splitlines()
    assert lines[0] == "signal,step,unit,value"
    assert len(lines) == 1 + 6 * 8 * 5


def test_it_can_be_used_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached: set[str] = set()
    for _ in range(200):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.name || document.activeElement.tagName"))
    assert {"sequence", "cell", "signal", "kind", "unit", "SUMMARY", "A"} <= reached


def test_a_title_from_a_model_is_text(visit: Visit) -> None:
    assert visit.page.locator("h1").inner_text() == EVIL
    assert visit.page.evaluate("document.images.length") == 0


def test_colours_follow_the_reader_s_scheme(visit: Visit) -> None:
    ink = "getComputedStyle(document.querySelector('#memory-0 .xtick text')).fill"
    light = visit.page.evaluate(ink)
    visit.page.emulate_media(color_scheme="dark")
    until(lambda: visit.page.evaluate(ink) != light)
    assert visit.said == []


def test_it_prints_with_every_table_open(visit: Visit, tmp_path: Path) -> None:
    visit.page.pdf(path=tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert visit.page.locator("details:not([open])").count() == 0
