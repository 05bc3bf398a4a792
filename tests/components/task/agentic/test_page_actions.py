"""The next action on pages: judged by the published formulas, its truth from the page."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from chromium_here import need_chromium
from PIL import Image

from vlmloom.components.contracts.sources import PageSource, PageView
from vlmloom.components.source import miniwob_pages
from vlmloom.components.source.miniwob_pages import MiniWoBPages
from vlmloom.components.task.agentic.desktop_action import KEYS, DesktopAction
from vlmloom.components.task.agentic.mobile_action import MobileAction
from vlmloom.components.task.agentic.wob import held_out

pytest.importorskip("rapidfuzz")
pytest.importorskip("faker")


class Drawn(PageSource):
    """Pages that are made up: wide, narrow and small ones with elements in rows."""

    def __init__(self, folder):
        self.views = []
        for number, width in enumerate((*[1000] * 8, *[500] * 8, *[160] * 16)):
            high = 800 if width > 160 else 160
            step = high // 10
            elements = tuple(
                (
                    f"{kind} {number if width == 160 else ''}{row}",
                    kind,
                    10,
                    row * step,
                    width / 2,
                    row * step + 12,
                )
                for row, kind in enumerate(("link", "button", "field", "checkbox", "link", "button", "field"))
            )
            path = folder / f"{number}.png"
            Image.fromarray(np.full((high, width, 3), 7 * number, np.uint8)).save(path)
            page = f"miniwob/{miniwob_pages.PAGES[number]}" if width == 160 else f"made/p{number}"
            self.views.append(PageView(page, path, width, high, elements))

    def available(self):
        return None

    def load(self):
        return self.views

    def prepare(self):
        """Nothing: they are there."""


@pytest.fixture(scope="module")
def task(world, tmp_path_factory):
    return DesktopAction(world=world, pages=[Drawn(tmp_path_factory.mktemp("views"))])


@pytest.fixture(scope="module")
def phone(task):
    return MobileAction(world=task.world, pages=task.pages)


@pytest.fixture(scope="module")
def planned(task):
    return {split: [task.plan(split, index) for index in range(250)] for split in task.splits()}


def test_gold_is_one_and_neither_another_answer_nor_always_the_same_is(task, planned):
    for samples in planned.values():
        for sample in samples[:200]:
            assert task.check(sample, sample.answer).value == 1, sample.answer
        for constant in ("", "WAIT()", "FAIL()", "DONE()", "left_click(start_box='[500,500]')"):
            assert sum(task.check(one, constant).value for one in samples) <= 0.15 * len(samples), constant
        others = [task.check(one, two.answer).value for one, two in zip(samples, samples[5:], strict=False)]
        # Pages that are made up have their elements in the same places.
        assert sum(others) / len(others) < 0.25


def test_every_kind_of_action_comes(planned):
    kinds = Counter(sample.answer.partition("(")[0] for sample in planned["train"])
    assert set(kinds) >= {
        *("left_click", "right_click", "left_double_click", "hover", "left_drag"),
        *("scroll", "key", "type", "FAIL"),
    }


def test_actions_do_what_is_said_where_it_is(task, planned):
    for samples in planned.values():
        for sample in samples:
            view = next(v for v in task.pages[0].views if v.path.name == sample.truth["window"])
            goal, answer = sample.prompt[-1].split("\n")[0], sample.answer
            places = [tuple(map(int, one)) for one in re.findall(r"\[(\d+),(\d+)\]", answer)]
            named = re.findall(r"the (?:link|button|field|checkbox) “(.*?)”", goal)
            boxes = {words: box for words, _, *box in view.elements}
            if answer == "FAIL()":
                assert named[0] not in boxes and "give up" in goal
                continue
            if answer.startswith("key"):
                assert KEYS[re.search(r"'(.*)'", answer)[1]] in goal
                continue
            for (x, y), words in zip(places, named, strict=answer[:4] not in ("type",)):
                x1, y1, x2, y2 = boxes[words]
                assert x1 <= x * view.width / 1000 <= x2 and y1 - 1 <= y * view.height / 1000 <= y2 + 1
            if answer.startswith("type"):
                assert (
                    re.search(r"“(.*?)” into", goal)[1] in answer.replace("\\'", "'")
                    and "clicked just" in goal
                )
            if answer.startswith("scroll"):
                way, steps = re.search(r"Scroll (\w+) by (\d+)", goal).groups()
                assert f"direction='{way}', step={steps})" in answer


def test_a_place_beside_is_worth_less_with_its_distance(task, planned):
    for sample in planned["test"]:
        if sample.answer.startswith("left_click"):
            x, y = map(int, re.search(r"\[(\d+),(\d+)\]", sample.answer).groups())
            off = [f"left_click(start_box='[{x + by},{y}]')" for by in (0, 10, 20, 30, 60)]
            assert [task.check(sample, one).value for one in off] == pytest.approx([1, 0.9, 0.8, 0.4, 0])


def test_a_page_is_in_one_split_and_what_miniwob_keeps_for_test_in_test(task, phone, planned):
    small = {view.path.name: view.page for view in task.pages[0].views if view.width == 160}
    held = {window for window, page in small.items() if held_out(page.partition("/")[2])}
    shown = {
        split: {one.truth["window"] for one in (*samples, *(phone.plan(split, n) for n in range(250)))}
        for split, samples in planned.items()
    }
    train, validation, test = (shown[split] for split in ("train", "validation", "test"))
    assert not train & validation and not train & test and not validation & test
    assert held and held <= test and train & small.keys() and validation & small.keys()
    assert shown["shift"] & small.keys() <= test


def test_elements_are_in_one_split_and_narrow_windows_are_for_shift(planned):
    words = {
        split: {(thing.name, thing.text) for one in samples for thing in one.scene.things}
        for split, samples in planned.items()
    }
    asked = {
        split: {(one.prompt[-1], one.pictures[0].key) for one in samples}
        for split, samples in planned.items()
    }
    assert not asked["train"] & asked["test"] and not asked["train"] & asked["validation"]
    assert (
        not words["train"] & (words["test"] | words["validation"]) and not words["test"] & words["validation"]
    )
    for split, samples in planned.items():
        assert {320 < one.pictures[0].width < 600 for one in samples} == {split == "shift"}


def test_a_phone_touches_types_swipes_and_reports(phone):
    kinds = set()
    for split in phone.splits():
        samples = [phone.plan(split, index) for index in range(200)]
        for sample in samples:
            assert phone.check(sample, sample.answer).value == 1, sample.answer
            assert 100 < sample.pictures[0].width < 600
            action, goal = json.loads(sample.answer), sample.prompt[-1].split("\n")[0]
            kinds.add((action["action_type"], action.get("direction", action.get("goal_status"))))
            view = next(v for v in phone.pages[0].views if v.path.name == sample.truth["window"])
            boxes = {words: box for words, _, *box in view.elements}
            if "box_2d" in action:
                named = re.search(r"the (?:link|button|field|checkbox) “(.*?)”", goal)[1]
                size = np.array([view.width, view.height] * 2)
                assert np.allclose(action["box_2d"][0], np.array(boxes[named]) / size * 1000, atol=1)
            elif action == {"action_type": "status", "goal_status": "infeasible"}:
                assert re.search("“(.*?)”", goal)[1] not in boxes
        others = [phone.check(one, two.answer).value for one, two in zip(samples, samples[5:], strict=False)]
        assert sum(others) / len(others) < 0.25
        for constant in ('{"action_type": "wait"}', '{"action_type": "click", "box_2d": [[0, 0, 999, 999]]}'):
            assert sum(phone.check(one, constant).value for one in samples) < 0.15 * len(samples)
    assert kinds >= {
        *(("click", None), ("long_press", None), ("input_text", None), ("swipe", "up"), ("swipe", "down")),
        *(("navigate_back", None), ("status", "complete"), ("status", "infeasible")),
    }


def test_the_shift_of_a_phone_is_inverted(phone):
    sample = phone.plan("shift", 0)
    view = next(v for v in phone.pages[0].views if v.path.name == sample.truth["window"])
    with Image.open(view.path) as picture:
        assert np.array_equal(sample.pictures[0].render()[0], 255 - np.asarray(picture))
    asked = {
        split: {(one.prompt[-1], one.pictures[0].key) for one in (phone.plan(split, n) for n in range(300))}
        for split in phone.splits()
    }
    assert not asked["train"] & asked["test"] and not asked["train"] & asked["validation"]


@pytest.mark.browser
def test_pages_of_miniwob_show_their_fields_without_the_instruction(tmp_path, monkeypatch):
    need_chromium()
    pytest.importorskip("miniwob")
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    monkeypatch.setattr(miniwob_pages, "PAGES", ("login-user", "click-checkboxes", "enter-text"))
    views = MiniWoBPages(ways=2).load()
    # A page that always looks the same is kept once.
    names = ("login-user", "click-checkboxes", "click-checkboxes", "enter-text", "enter-text")
    assert [view.page for view in views] == [f"miniwob/{name}" for name in names]
    fields = {words: box for words, kind, *box in views[0].elements if kind == "field"}
    assert set(fields) == {"Username", "Password"} and fields["Username"][1] < fields["Password"][1]
    assert {kind for _, kind, *_ in views[1].elements} == {"checkbox", "button"}
    assert views[1].elements != views[2].elements
    assert [one[:2] for one in views[3].elements] == [("text", "field"), ("Submit", "button")]
    for view in views:
        with Image.open(view.path) as picture:
            assert picture.size == (view.width, view.height) == (160, 160)
            for _, _, *box in view.elements:
                assert np.asarray(picture.crop(tuple(map(round, box)))).std() > 5


def test_wrong_settings_are_one_line(world):
    with pytest.raises(ValueError, match=r"^task/mobile_action: smallest is -1; 1 or more would be right$"):
        MobileAction(world=world, smallest=-1)
    with pytest.raises(ValueError, match=r"^task/desktop_action: smallest is -1; 1 or more would be right$"):
        DesktopAction(world=world, smallest=-1)
    with pytest.raises(ValueError, match=r"^source/miniwob_pages: ways is 0; 1 or more would be right$"):
        MiniWoBPages(ways=0)
