"""MiniWoB++ in a real Chromium: pages reset, scripts win, nonsense earns nothing, crashes are told."""

import os
import signal

import pytest
from chromium_here import need_chromium

from vlmloom.components.sandbox.browsers import Browsers
from vlmloom.components.sandbox.chromium import BrowserStopped
from vlmloom.components.task.agentic import wob
from vlmloom.components.task.agentic.desktop import click_at, read_action
from vlmloom.components.task.agentic.miniwob import MiniWoB
from vlmloom.components.task.agentic.wob_scripts import SCRIPTS

pytest.importorskip("miniwob")


class Seeded:
    """What the task asks of a world."""

    seed = 0


@pytest.fixture(scope="module")
def pool():
    need_chromium()
    pool = Browsers(count=1)
    yield pool
    pool.close()


@pytest.fixture
def task(pool):
    return MiniWoB(world=Seeded(), pool=pool)


def run(episode):
    """To the end by the script."""
    while not episode.done:
        episode.act(episode.scripted() or "FAIL()")
    return episode.score()


def test_forty_pages_are_trained_on_and_forty_others_held_out(task):
    train, held = set(task.names("train")), set(task.names("test"))
    assert len(train) >= 40 and len(held) >= 40 and not train & held
    assert train == set(task.names("validation")) and set(task.names("shift")) == held - wob.COLOURED


def test_a_plan_is_pure_and_no_item_is_in_two_splits(task):
    keys = {split: {task.plan(split, n).scene.key for n in range(1000)} for split in task.splits()}
    assert all(len(found) == 1000 for found in keys.values()) and len(set().union(*keys.values())) == 4000
    assert task.plan("train", 7).truth == task.plan("train", 7).truth
    with pytest.raises(ValueError, match=r"^task miniwob has no compositional split here; it has train, "):
        task.plan("compositional", 0)


@pytest.mark.browser
def test_every_page_resets(pool):
    shown = "document.querySelectorAll('#wrap *, .ui-dialog *, svg *').length"

    def reset(name):
        return lambda page: (wob.begin(page, name, 3), page.evaluate(shown))

    for name in wob.names():
        state, things = pool.run(reset(name))
        assert state["instruction"] and not state["done"] and things > 2, name


@pytest.mark.browser
def test_a_page_is_the_same_under_its_seed_and_another_under_another(task):
    samples = [task.plan("train", n) for n in (3, 3, 3 + len(task.names("train")))]
    one, again, other = (sample.pictures[0].render() for sample in samples)
    assert one.shape == (1, 210, 160, 3) and one.std() > 20 and (one == again).all() and (one != other).any()
    assert samples[0].truth["page"] == samples[2].truth["page"]


@pytest.mark.browser
def test_the_shift_split_is_dark(pool):
    shown = {
        dark: pool.run(
            lambda page, dark=dark: (wob.begin(page, "click-test", 1, dark), wob.screenshot(page))[1]
        )
        for dark in (False, True)
    }
    assert shown[False].mean() > 150 > shown[True].mean()


@pytest.mark.browser
def test_scripts_win(pool):
    lost = []
    for name in SCRIPTS:
        task = MiniWoB(world=Seeded(), pool=pool, pages=[name])
        # The tenth address of the phone book is broken over two lines.
        lost += [(name, index) for index in (5, 9) if run(task.open(task.splits()[0], index)).value < 1]
    assert len(SCRIPTS) >= 30 and len(lost) <= 0.05 * 2 * len(SCRIPTS), lost


@pytest.mark.browser
def test_nonsense_and_claims_earn_nothing_and_steps_run_out(pool):
    task = MiniWoB(world=Seeded(), pool=pool, pages=["enter-text"], steps=3)
    split = task.splits()[0]
    for answers in (["", "click it"], ["DONE()"], ["FAIL"], ["key(keys='hyper+x')"], ["type(content='x')"]):
        episode = task.open(split, 0)
        while not episode.done:
            episode.act(answers[episode.info["steps"] % len(answers)])
        assert episode.score().value == 0 and episode.info["steps"] <= 3
    with pytest.raises(RuntimeError, match=r"^task miniwob: this episode is done already$"):
        episode.act("WAIT()")
    # A budget that is less than what the page needs cannot be kept to.
    won = [
        run(MiniWoB(world=Seeded(), pool=pool, pages=["enter-text"], steps=n).open(split, 0)) for n in (2, 3)
    ]
    assert [reward.value for reward in won] == [0, 1]


@pytest.mark.browser
def test_a_wrong_click_is_judged_by_the_state_of_the_page(pool):
    task = MiniWoB(world=Seeded(), pool=pool, pages=["click-test-2"])
    episode = task.open(task.splits()[0], 0)
    assert episode.observe().prompt[0].render().shape == (1, 210, 160, 3)
    wrong = next(one for one in wob.elements(episode._page) if one["own"] == "TWO")
    episode.act(click_at(wrong["x"], wrong["y"], 160, 210))
    reward = episode.score()
    assert episode.done and reward.value == 0 and reward.error is None and "reward -1" in reward.reason


@pytest.mark.browser
def test_a_browser_killed_in_mid_episode_is_counted_and_the_episode_goes_on():
    need_chromium()
    pool = Browsers(count=1)
    task = MiniWoB(world=Seeded(), pool=pool, pages=["login-user"])
    episode = task.open(task.splits()[0], 0)
    for _ in range(3):
        episode.act(episode.scripted())
    os.kill(episode._page.browser.pid, signal.SIGKILL)
    reward = run(episode)
    assert reward.value == 1 and reward.parts["stopped"] == 1 and reward.error is None
    assert (pool.counts["retried"], pool.counts["lost"]) == (1, 0)

    def always(*arguments):
        os.kill(pool._pages[0].browser.pid, signal.SIGKILL)
        pool._pages[0].screenshot()

    episode, other = task.open(task.splits()[0], 1), task.open(task.splits()[0], 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wob, "state", always)
        episode.act("WAIT()")
    assert episode.done
    with pytest.raises(BrowserStopped):
        episode.score()
    assert pool.counts["lost"] == 1 and run(other).value == 1
    pool.close()


@pytest.mark.browser
def test_an_episode_gives_its_browser_back(pool):
    task = MiniWoB(world=Seeded(), pool=pool, pages=["click-test"])
    for _ in range(2):
        episode = task.open(task.splits()[0], 0)
        episode.observe()
        episode.close()
        episode.close()
    with pytest.raises(RuntimeError, match=r"^task miniwob: this episode was closed$"):
        episode.observe()


def test_actions_are_read():
    assert read_action("left_click(start_box='[500,250]')").points == ((500.0, 250.0),)
    assert read_action(" left_drag(start_box='[0,0,10,10]', end_box='<point>9 9</point>') ").points == (
        (5, 5),
        (9, 9),
    )
    assert read_action("scroll(start_box='[1,2]', direction='down')").step == 5
    assert read_action("type(content='a\\'b')").text == "a'b"


@pytest.mark.parametrize(
    "text",
    ["", "click", "left_click()", "left_click([1,2])", "left_click(start_box='[1000,5]')", "os.system('x')",
     "left_click(start_box='[-1,5]')", "left_click(start_box=__import__('os'))", "scroll(start_box='[1,2]', "
     "direction='in')", "left_click(start_box='[1,2]'); DONE()", "(" * 5000, "x" * 10000, "WAIT() or DONE()"],
)  # fmt: skip
def test_what_is_no_action_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^found .*right$"):
        read_action(text)


def test_what_is_missing_is_one_line(monkeypatch):
    monkeypatch.setenv("VLMLOOM_CHROMIUM", "/nowhere")
    with pytest.raises(Exception, match=r"^task/miniwob: browser: VLMLOOM_CHROMIUM=/nowhere is no program"):
        MiniWoB(world=Seeded())
    monkeypatch.undo()
    need_chromium()
    with pytest.raises(ValueError, match=r"^task/miniwob: pages has 'click-tset'; ascending-numbers, "):
        MiniWoB(world=Seeded(), pages=["click-tset"])
