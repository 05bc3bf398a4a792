"""The page of a suite's items, opened in a browser, and what its verifiers say on it."""

from pathlib import Path

import pytest
from chromium_here import need_chromium

from vlmloom.components.contracts.sample import Episode, Observation, Reward, Sample, Scene
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.full import Full
from vlmloom.components.task.reasoning.arithmetic import Arithmetic
from vlmloom.components.task.video.order import Order
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_suite.preview import preview

BOTH = str(Path(__file__).parent / "both.yaml")


class Door(Episode):
    def __init__(self):
        self.acts = 0

    def observe(self):
        return Observation([f"step {self.acts}"])

    def act(self, response):
        self.acts += 1

    @property
    def done(self):
        return self.acts == 2

    def score(self):
        return Reward(1.0, reason="the door is open")

    def scripted(self):
        return f"push {self.acts}"


class Doors(Task):
    name, family, visual, steps = "doors", "agentic", False, 4

    def __init__(self, world):
        pass

    def plan(self, split, index):
        return Sample("doors", split, index, [""], "", Scene(""))

    def open(self, split, index):
        return Door()


@pytest.fixture(scope="module")
def page():
    tasks = {"arithmetic": Arithmetic, "order": Order, "doors": Doors}
    suite = Full(families=[], tasks=tasks, shift=[], things=8, side=64)
    return preview(suite, "three", items=2)


def test_families_stand_in_their_order_and_verifiers_speak(page):
    places = [page.index(f'<h3 id="{name}">') for name in ("arithmetic", "order", "doors")]
    assert places == sorted(places) and page.count('<article class="card item">') == 6
    assert page.count('<span class="right">1.00') == 6 and page.count('<span class="wrong">0.00') == 4
    assert (
        "push 0\npush 1" in page
        and "the door is open" in page
        and "step 1" in page
        and "At most 4 steps" in page
    )


def test_the_verb_writes_the_page(tmp_path, capsys):
    arguments = ["tasks", "preview", "--out", str(tmp_path), "--suite", BOTH]
    assert main([*arguments, "--task", "count", "--items", "3"]) == 0
    page = (tmp_path / "preview.html").read_text()
    assert page.count('<article class="card item">') == 3 and 'id="arithmetic"' not in page
    assert page.count("data:image/png") == 3
    assert main([*arguments, "--task", "dance"]) == 2
    error = capsys.readouterr().err
    assert "suite both has no 'dance' in its test split; count, arithmetic would be right" in error
    assert main([*arguments, "--items", "0"]) == 2


@pytest.mark.browser
def test_it_opens_in_a_browser_with_every_frame_and_no_network(page, tmp_path):
    need_chromium()
    from playwright.sync_api import sync_playwright

    from vlmloom.components.sandbox.chromium import chromium

    (tmp_path / "preview.html").write_text(page)
    complaints, requests = [], []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(chromium()), args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 390, "height": 800})
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("request", lambda request: requests.append(request.url))
        shown.goto((tmp_path / "preview.html").as_uri())
        sizes = shown.evaluate("[...document.images].map(image => image.naturalWidth)")
        wide = shown.evaluate("document.documentElement.scrollWidth")
        browser.close()
    # Four frames of each of the two clips.
    assert len(sizes) == 8 and min(sizes) >= 64 and wide == 390 and not complaints
    assert all(url.startswith(("file:", "data:")) for url in requests)
