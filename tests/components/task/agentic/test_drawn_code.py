"""The two tasks whose answers are programs that draw: SVG and plotting code."""

import pytest

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.task.agentic.plot_to_code import PlotToCode
from vlmloom.components.task.agentic.svg_drawing import SvgDrawing

TASKS = [SvgDrawing, PlotToCode]


@pytest.mark.parametrize("kind", TASKS)
def test_a_thousand_items_are_distinct_and_in_one_split(world, kind):
    task = kind(world=world)
    keys = {split: {task.plan(split, n).scene.key for n in range(400)} for split in task.splits()}
    assert set(keys) == {"train", "validation", "test", "shift"} and len(set().union(*keys.values())) >= 1000
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("split", ["train", "shift"])
def test_gold_is_one_and_another_items_answer_is_not(world, kind, split, tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    task = kind(world=world)
    samples = [task.plan(split, index) for index in range(5)]
    for sample, other in zip(samples, samples[1:] + samples[:1], strict=True):
        picture = sample.pictures[0]
        assert picture.render().shape == (1, picture.height, picture.width, 3) and picture.render().std() > 5
        assert task.check(sample, sample.answer).value == 1
        assert task.check(sample, "").value == 0 and task.check(sample, other.answer).value < 0.8


def test_openmoji_drawings_are_among_them(world):
    task = SvgDrawing(world=world)
    assert {task.plan("train", n).source for n in range(40)} == {"openmoji", "shapes"}


def test_wrong_settings_are_one_line(world):
    with pytest.raises(ValueError, match=r"^task/svg_drawing: shapes is 40; 1 to 12 would be right$"):
        SvgDrawing(world=world, shapes=40)
    with pytest.raises(ValueError, match=r"^task/plot_to_code: points is 1; 3 to 20 would be right$"):
        PlotToCode(world=world, points=1)

    class Bare:
        tables = None
        seed = 0

    with pytest.raises(SourceMissing, match=r"^task/plot_to_code: the world has no tables; "):
        PlotToCode(world=Bare())


def test_no_chart_of_the_shift_split_is_drawn_in_the_colour_of_its_ground(world):
    codes = [PlotToCode(world=world).plan("shift", index).answer for index in range(300)]
    black = [code for code in codes if "'black'" in code]
    assert black and not any("dark_background" in code for code in black)
    assert any("dark_background" in code for code in codes)
