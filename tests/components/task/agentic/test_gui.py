"""Where to click on real pages, and what to do on a phone."""

import json

import numpy as np
import pytest
from chromium_here import need_chromium
from PIL import Image

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.source.web_pages import WINDOWS, WebPages
from vlmloom.components.task.agentic.gui_action import GuiAction
from vlmloom.components.task.agentic.gui_grounding import GuiGrounding
from vlmloom.registry import build


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A package of a few pages, made here."""
    need_chromium()
    root = tmp_path_factory.mktemp("pages")
    package = root / "startbootstrap-resume"
    package.mkdir()
    (package / "package.json").write_text('{"version": "1.0"}')
    (package / "style.css").write_text("a { position: absolute; height: 20px } .far { top: 900px }")
    links = "".join(
        f"<a href='#' style='top:{30 * n}px;left:{20 + 9 * n}px'>entry {n}</a>" for n in range(12)
    )
    html = (
        f"<link rel=stylesheet href=style.css><body style='height:1500px'>{links}<a class=far>far away</a>"
        "<a style='top:400px'>twice</a><a style='top:430px'>twice</a><a style='top:460px;opacity:0'>ghost</a>"
        "<a style='top:1000px'>one far</a><a style='top:1040px'>two far</a><a style='top:1080px'>last</a>"
        "<a style='top:500px;left:30px;width:90px'>under</a>"
        "<div style='position:absolute;top:490px;width:300px;height:50px;background:red'></div>"
    )
    for number in range(6):
        (package / f"page{number}.html").write_text(html)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLMLOOM_CACHE", str(root / "cache"))
        source = WebPages(folder=str(root), pages=6)
        found = source._found()[:6]
        patch.setattr(source, "_found", lambda: found)
        source.load()
    return source


@pytest.mark.browser
def test_boxes_are_those_of_what_shows_once_and_on_top(source):
    view = next(one for one in source.load() if (one.width, one.height) == WINDOWS[0])
    found = {words: box for words, _, *box in view.elements}
    assert set(found) == {f"entry {n}" for n in range(12)}
    assert found["entry 3"][:2] == [47, 90] and found["entry 3"][3] == 110
    assert any(words == "two far" for one in source.load() for words, *_ in one.elements)
    for view in source.load():
        with Image.open(view.path) as picture:
            assert picture.size == (view.width, view.height)
            # Scrolled windows too show what the boxes say.
            for _, _, *box in view.elements:
                assert np.asarray(picture.crop(tuple(map(round, box)))).std() > 10


@pytest.mark.browser
def test_grounding_is_right_inside_the_box_alone(world, source):
    task = GuiGrounding(world=world, pages=source)
    for split in task.splits():
        for index in range(20):
            sample = task.plan(split, index)
            assert task.check(sample, sample.answer).value == 1 and task.check(sample, "").value == 0
            x1, y1, x2, y2 = sample.truth["box"]
            assert task.check(sample, f"left_click(start_box='[{x1 + 1},{y1 + 1}]')").value == 1
            assert task.check(sample, f"left_click(start_box='[{x2 + 3},{y2}]')").value == 0
            named = sample.answer.replace(")", ", element_info='Chapter 2')")
            assert task.check(sample, named).value == 1
            for wrong in (sample.answer.replace("left", "right"), f"WAIT {x1 + 1} {y1 + 1}", f"not {named}"):
                assert task.check(sample, wrong).value == 0, wrong
            picture = sample.pictures[0]
            assert (picture.width < 600) == (split == "shift")
    assert picture.render().shape == (1, picture.height, picture.width, 3)


@pytest.mark.browser
def test_an_element_is_in_one_split_in_every_window(world, source):
    task = GuiGrounding(world=world, pages=source)
    words = {
        split: {task.plan(split, n).scene.things[0].text for n in range(60)}
        for split in ("train", "validation", "test")
    }
    assert not words["train"] & words["test"] and not words["train"] & words["validation"]


@pytest.mark.browser
def test_installed_packages_hold_a_thousand_elements_and_none_is_in_two_splits(world):
    need_chromium()
    pytest.importorskip("pygame")
    task = GuiGrounding(world=world, pages=WebPages(folder="/nowhere"))

    def seen(split, count):
        samples = [task.plan(split, index) for index in range(count)]
        return {(sample.prompt[-1], tuple(sample.truth["box"])) for sample in samples}

    train, validation, test = seen("train", 2500), seen("validation", 1000), seen("test", 1000)
    assert not train & test and not train & validation and not validation & test
    assert not {question for question, _ in train} & {question for question, _ in test}
    assert len(train | validation | test) >= 1000


def test_no_pages_is_one_line(world, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CHROMIUM", "/nowhere")
    with pytest.raises(SourceMissing, match=r"^source/web_pages: browser: VLMLOOM_CHROMIUM=/nowhere is no"):
        GuiGrounding(world=world)


@pytest.fixture(scope="module")
def phone(world):
    return GuiAction(world=world)


def test_a_phones_gold_is_one_and_others_are_not(phone):
    pytest.importorskip("rapidfuzz")
    kinds, values = set(), []
    for split in phone.splits():
        samples = [phone.plan(split, index) for index in range(60)]
        for sample, other in zip(samples, samples[1:] + samples[:1], strict=True):
            assert phone.check(sample, sample.answer).value == 1
            assert phone.check(sample, "").value == 0
            values.append(phone.check(sample, other.answer).value)
            kinds.add(json.loads(sample.answer)["action_type"])
    assert len(kinds) >= 9 and sum(values) / len(values) < 0.25


def test_an_instruction_for_a_phone_does_not_tell_its_action(phone):
    told = {"Scroll to": set(), "The whole list": set(), "Open the app": set(), "Open the mail": set()}
    told |= {"has to be on": set(), "has to be off": set(), "should go": set(), "Save the entry": set()}
    for index in range(300):
        sample = phone.plan("train", index)
        for words in told:
            if words in sample.prompt[-1]:
                action = json.loads(sample.answer)
                told[words].add((action["action_type"], str(action.get("direction", action.get("box_2d")))))
    assert all(len(actions) >= 2 for actions in told.values()), told
    either = {words: {kind for kind, _ in actions} for words, actions in told.items()}
    assert either["The whole list"] == {"click", "status"} == either["has to be on"]
    assert either["Open the app"] == {"click", "open_app"} and either["Open the mail"] == {"click", "wait"}


def test_phone_screens_are_distinct_and_in_one_split(phone):
    keys = {split: {phone.plan(split, n).scene.key for n in range(320)} for split in phone.splits()}
    assert len(set().union(*keys.values())) >= 1000
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))


def test_boxes_lie_on_the_screen_and_hold_what_is_named(phone):
    for index in range(60):
        sample = phone.plan("train", index)
        action = json.loads(sample.answer)
        if sample.prompt[-1].startswith("Open the entry of"):
            name = sample.prompt[-1].split("Open the entry of ")[1].split(".\n")[0]
            (box,) = action["box_2d"]
            thing = next(one for one in sample.scene.things if one.text == name)
            assert box[0] <= thing.box[0] and box[1] <= thing.box[1] < thing.box[3] <= box[3] <= 999
    assert sample.pictures[0].render().shape == (1, 480, 270, 3)


def test_wrong_settings_are_one_line(world):
    with pytest.raises(ValueError, match=r"^task/gui_action: rows is 30; 3 to 9 would be right$"):
        GuiAction(world=world, rows=30)
    assert build({"use": "source/web_pages", "folder": "/nowhere"}).folder == "/nowhere"
