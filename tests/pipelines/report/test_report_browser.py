"""The page in a real Chromium, without network."""

import os
import re
import shutil
from pathlib import Path

import pytest

from vlmloom.pipelines.report import write_report

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAIRS = [
    "native-adapter",
    "native-cascade",
    "adapter-cascade",
    "native-blind",
    "adapter-blind",
    "cascade-blind",
]
PLOTS = {
    *(f"accuracy-{split}" for split in ("test", "shift", "compositional")),
    *(f"difference-{pair}" for pair in ("mean", *PAIRS)),
    *(f"curve-{y}-{x}" for y in ("accuracy", "loss") for x in ("flops", "seconds")),
    "splits",
    "families",
    "labels",
    "error-cascade",
}


def unavailable(reason: str) -> None:
    """Skip with the reason, or fail where a browser is required."""
    if os.environ.get("VLMLOOM_REQUIRE_BROWSER") == "1":
        pytest.fail(f"VLMLOOM_REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        unavailable("the Python package playwright is not installed")
    path = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    if path is None:
        unavailable("no chromium on PATH (apt-get install chromium)")
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as error:
            unavailable(f"{path} does not start: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(comparison, tmp_path_factory) -> Path:
    return write_report(comparison, tmp_path_factory.mktemp("report"))


class Visit:
    """An open page, what it complained about and what it asked for."""

    def __init__(self, browser, path: Path, width: int, scheme: str = "light"):
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.context.set_offline(True)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), wait_until="load")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_opens_without_network_complaint_or_sideways_scrolling(browser, report, width):
    with Visit(browser, report, width) as visit:
        page = visit.page
        page.evaluate("document.querySelectorAll('details').forEach(entry => entry.open = true)")
        outside = [url for url in visit.requests if not url.startswith("data:") and url != report.as_uri()]
        assert outside == []
        assert visit.complaints == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        # Text may leave the viewport only inside a box that scrolls by itself.
        beyond = page.evaluate(
            """width => [...document.querySelectorAll('h1,h2,h3,p,li,td,th,figure,summary,text')]
                 .filter(e => !e.closest('.scroll') && !e.closest('pre'))
                 .filter(e => (b => b.right > width + 0.5 || b.x < -0.5)(e.getBoundingClientRect()))
                 .map(e => e.tagName + ': ' + e.textContent.slice(0, 60))""",
            width,
        )
        assert beyond == []


@pytest.mark.parametrize("width", [390, 1280])
def test_every_plot_is_there_with_marks_and_inside_its_frame(browser, report, width):
    with Visit(browser, report, width) as visit:
        plots = visit.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll('svg.plot')].map(svg => {
                 const frame = svg.getBoundingClientRect();
                 const out = [...svg.querySelectorAll('text')].filter(t => {
                   const b = t.getBoundingClientRect();
                   return b.left < frame.left - 1 || b.right > frame.right + 1 || b.bottom > frame.bottom + 1
                 }).map(t => t.textContent);
                 const size = parseFloat(getComputedStyle(svg.querySelector('text.tick')).fontSize);
                 return [svg.dataset.plot, {
                   width: frame.width, height: frame.height, out, label: svg.getAttribute('aria-label'),
                   marks: svg.querySelectorAll('.dot, .bar, .part').length,
                   letters: size * frame.width / svg.viewBox.baseVal.width,
                 }]
               }))"""
        )
        assert set(plots) == PLOTS
        for name, plot in plots.items():
            assert plot["width"] > 200, name
            assert plot["height"] > 80, name
            assert plot["marks"] > 0, name
            assert plot["out"] == [], name
            assert plot["label"], name
            assert plot["letters"] >= 8, f"{name}: letters of {plot['letters']:.1f} px cannot be read"


def test_pictures_are_decoded_and_tooltips_carry_numbers(browser, report):
    with Visit(browser, report, 1280) as visit:
        images = visit.page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(images) == 6
        assert all(size == 96 for size in images)
        tip = visit.page.locator("svg[data-plot=accuracy-test] .dot title").first.text_content()
        assert re.fullmatch(r"native, name: \d+\.\d\s% \(\d+\.\d to \d+\.\d\)", tip)


def test_dark_scheme_has_contrast(browser, report):
    with Visit(browser, report, 1280, scheme="dark") as visit:
        ink, paper = visit.page.evaluate(
            """() => {
                 const style = getComputedStyle(document.body), read = c => c.match(/[0-9]+/g).map(Number);
                 return [read(style.color).slice(0, 3), read(style.backgroundColor).slice(0, 3)]
               }"""
        )
        assert min(ink) - max(paper) > 150


def test_sections_open_by_click(browser, report):
    with Visit(browser, report, 390) as visit:
        cell = visit.page.locator("#accuracy tr.mean").first
        assert not cell.is_visible()
        visit.page.get_by_text("The numbers of the test split").click()
        assert cell.is_visible()
