"""The page of towers: every number is there, nothing is fetched, and it fits narrow and wide windows."""

import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from vlmloom.pipelines.evaluate_vision.page import render
from vlmloom.pipelines.evaluate_vision.pictures import Plan
from vlmloom.pipelines.evaluate_vision.report import answers, document
from vlmloom.pipelines.evaluate_vision.score import NAMES, Score
from vlmloom.pipelines.report.wording import NOTHING, percent, points

TOWERS = ("runs/adapter", "vision/cogvit,width=192,depth=4,heads=4,patch=16", "teacher/efficientnet_lite0")
PLAN = Plan(shift="source/noto_emoji", sizes=(56, 224))
RECALLS = [f"{way}_r{at}" for way in ("image_to_text", "text_to_image") for at in (1, 5, 10)]


def made() -> dict:
    rng, things = np.random.default_rng(0), np.repeat(np.arange(20), 5)
    found = {}
    for skill, name in enumerate(TOWERS):
        scores = []
        for probe in [*NAMES[:-1], *RECALLS] if name == TOWERS[0] else NAMES[:-2]:
            splits = ["test", "shift", "56 px", "224 px"] if probe in ("knn", "zero_shot") else ["test"]
            for split in splits:
                values = rng.random(len(things)) < 0.3 + 0.25 * skill
                scores.append(Score(probe, split, values, things))
        found[name] = answers(name, scores, 0)
    chances = {probe: 0.025 for probe in (*NAMES[:-1], *RECALLS)} | {"position": None}
    facts = {"machine": {"processor": "a CPU"}, "versions": {"torch": "2"}, "command": "vlmloom ..."}
    return document(found, chances, TOWERS[1], 0, facts) | {"plan": asdict(PLAN), "unseen": 40}


def test_the_page_holds_every_number() -> None:
    found = made()
    assert [split["name"] for split in found["splits"]] == ["test", "shift", "56 px", "224 px"]
    page = render(found)
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    for row in found["summary"]:
        assert percent(row["accuracy"]) in page
    for row in found["differences"] + found["drops"]:
        assert f"<td>{points(row['difference'])}<small>" in page
    plots = set(re.findall(r'data-plot="([^"]+)"', page))
    assert plots == {
        *("scores-pictures", "scores-pictures-and-words"),
        *("difference-0", "difference-2"),
        *("sides-knn", "sides-zero_shot"),
    }
    assert f"<td>{NOTHING}</td>" in page  # towers without text


def test_one_tower_has_no_differences_and_a_plain_plan_no_drops() -> None:
    score = Score("knn", "test", np.array([0.0, 1.0, 1.0]), np.arange(3))
    found = document({"one": answers("one", [score], 0)}, {"knn": None}, "one", 0, {})
    page = render(found | {"plan": asdict(Plan()), "unseen": 3})
    assert 'id="differences"' not in page and 'id="shifts"' not in page and percent(2 / 3) in page


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_window_and_asks_for_nothing(tmp_path: Path, width: int) -> None:
    required = os.environ.get("VLMLOOM_REQUIRE_BROWSER") == "1"
    path = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
    if path is None and not required:
        pytest.skip("no chromium on PATH (apt-get install chromium)")
    assert path is not None
    sync_api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "report.html"
    file.write_text(render(made()), encoding="utf-8")
    complaints, requests = [], []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        beyond = page.evaluate("document.documentElement.scrollWidth")
        cut = page.evaluate(
            """() => [...document.querySelectorAll('svg.plot')].flatMap(svg => {
                 const frame = svg.getBoundingClientRect();
                 return [...svg.querySelectorAll('text')].filter(text => {
                   const box = text.getBoundingClientRect();
                   return box.left < frame.left - 1 || box.right > frame.right + 1
                 }).map(text => text.textContent)
               })"""
        )
        browser.close()
    assert beyond <= width and complaints == [] and cut == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
