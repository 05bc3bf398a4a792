import pytest
from chromium_here import need_chromium

from vlmloom.components.task.agentic.design2code import Design2Code


@pytest.fixture(scope="module")
def task(world):
    need_chromium()
    return Design2Code(world=world)


def test_items_are_distinct_and_in_one_split(task):
    keys = {split: {task.plan(split, n).scene.key for n in range(50)} for split in task.splits()}
    assert set(keys) == {"train", "validation", "test", "shift"}
    assert all(len(found) == 50 for found in keys.values()) and len(set().union(*keys.values())) == 200
    assert task.plan("train", 3).answer == task.plan("train", 3).answer


@pytest.mark.browser
@pytest.mark.parametrize("split", ["train", "test", "shift"])
def test_the_page_fits_its_picture_and_gold_is_one(task, split, tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    for index in range(2):
        sample = task.plan(split, index)
        picture = sample.pictures[0]
        assert picture.render().shape == (1, picture.height, picture.width, 3)
        assert sample.truth["viewport"] == (picture.width, picture.height)
        assert task.check(sample, sample.answer).value == 1
        from vlmloom.components.reward.html import rendered

        # Nothing of the page lies below the picture.
        look = rendered(sample.answer, *sample.truth["viewport"])
        assert look.bare.shape[0] == picture.height and len(look.blocks) >= 4
        assert task.check(sample, "").value == 0 and task.check(sample, "<p>hello</p>").value < 0.25
    assert (task.plan("train", 0).pictures[0].render().mean() > 128) and (
        task.plan("shift", 0).pictures[0].render().mean() < 128
    )


def test_a_wrong_number_of_sections_is_one_line(world):
    with pytest.raises(ValueError, match=r"^task/design2code: sections is 0; 1 to 12 would be right$"):
        Design2Code(world=world, sections=0)
