"""MiniWoB++: small web pages with an instruction, in a real browser, one action after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.sample import Episode, Observation, Picture, Reward, Sample, Scene
from vlmloom.components.contracts.task import Task
from vlmloom.components.sandbox.browsers import Browsers, browsers
from vlmloom.components.sandbox.chromium import BrowserStopped
from vlmloom.components.sandbox.page import Page
from vlmloom.components.task.agentic import wob
from vlmloom.components.task.agentic.design2code import need_chromium
from vlmloom.components.task.agentic.desktop import FORMS, Action, perform, read_action
from vlmloom.components.task.agentic.wob_scripts import SCRIPTS
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register

SPLITS = ("train", "validation", "test", "shift")
QUESTION = (
    "Do what is written at the top of the screen. You see a screenshot after every action. Answer with one "
    f"action: {FORMS}. Coordinates run from 0 to 999, from the top left corner."
)


@register("task/miniwob")
class MiniWoB(Task):
    """MiniWoB++ pages in a real headless Chromium: act on screenshots until the page says how it went.

    Training and validation share pages (other seeds); test and shift have pages, and variants of pages, that
    training never has, shift in inverted colours, without those that ask for a colour. Pages that depend on
    the clock are left out, animations are off, and nothing times out but the number of actions.

    Args:
        world: what is shared by the tasks of a suite.
        pages: names of pages; None takes all of the split.
        steps: the most actions of an episode, a budget: fewer leave less room for mistakes, and what needs
            more cannot be won. The pages stay the same.
        pool: whose browsers are used; None is `browsers()`.

    Raises:
        SourceMissing: the package miniwob is not installed, or there is no Chromium here.

    Reference: https://miniwob.farama.org
    """

    name = "miniwob"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "steps"

    def __init__(
        self,
        *,
        world: World,
        pages: list[str] | None = None,
        steps: int = 16,
        pool: Browsers | None = None,
    ) -> None:
        self.world = world
        self.steps = steps
        self.pool = pool
        known = wob.names()
        need_chromium(self.name)
        for name in pages or ():
            if name not in known:
                raise ValueError(
                    f"task/miniwob: pages has {name!r}; {', '.join(known[:3])} ... would be right"
                )
        self.pages = tuple(pages) if pages else known
        self._names: dict[str, tuple[str, ...]] = {}

    def splits(self) -> list[str]:
        """Those that have pages."""
        return [split for split in SPLITS if self.names(split)]

    def names(self, split: str) -> tuple[str, ...]:
        """The pages of a split."""
        if (found := self._names.get(split)) is None:
            held, left_out = split in ("test", "shift"), wob.COLOURED if split == "shift" else frozenset()
            own = (name for name in self.pages if name not in left_out and wob.held_out(name) == held)
            found = self._names[split] = tuple(own)
        return found

    def plan(self, split: str, index: int) -> Sample:
        """The page and its seed; the first screenshot shows the instruction.

        Raises:
            ValueError: there is no such split here.
        """
        if split not in self.splits():
            raise ValueError(f"task {self.name} has no {split} split here; it has {', '.join(self.splits())}")
        draw = Draw(self.world.seed, "miniwob", split, index)
        names = self.names(split)
        name, seed = names[index % len(names)], draw.below(1 << 31)
        truth = {"page": name, "seed": seed, "dark": split == "shift"}
        key = f"miniwob:{name}:{seed}" + (":dark" if truth["dark"] else "")
        screen = FirstScreen(name, seed, bool(truth["dark"]), self.pool)
        return Sample(
            self.name, split, index, [screen, QUESTION], "", Scene(key), source="miniwob", truth=truth
        )

    def open(self, split: str, index: int) -> Episode:
        """The item as an episode of at most `steps` actions."""
        return WebEpisode(self.plan(split, index), self.steps, self.pool or browsers())

    def scripted(self, split: str) -> list[str]:
        """The pages of a split for which a policy is written."""
        return [name for name in self.names(split) if name in SCRIPTS]


class FirstScreen(Picture):
    """What a page looks like when its episode begins."""

    width, height = wob.WIDTH, wob.HEIGHT

    def __init__(self, name: str, seed: int, dark: bool, pool: Browsers | None) -> None:
        self.name, self.seed, self.dark, self.pool = name, seed, dark, pool
        self.key = f"miniwob {name} {seed} {dark}"

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, 210, 160, 3]`."""

        def draw(page: Page) -> np.ndarray:
            wob.begin(page, self.name, self.seed, self.dark)
            return wob.screenshot(page)

        return (self.pool or browsers()).run(draw)[None]


class Screen(Picture):
    """A screenshot that was taken."""

    def __init__(self, pixels: np.ndarray, key: str) -> None:
        self.pixels, self.key = pixels, key
        self.height, self.width = pixels.shape[:2]

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        return self.pixels[None]


class WebEpisode(Episode):
    """One run of a page. It holds a browser from its first look until it is done or closed.

    A browser that stops in the middle is started again and all actions are repeated, once; pages are the
    same under the same seed. What stops twice ends the episode: `score` raises then.

    Args:
        sample: of the task.
        steps: the most actions.
        pool: whose browsers are used.

    Attributes:
        info: `page`, `seed`, `steps` taken, answers that were no action (`invalid`), browsers that `stopped`,
            the `instruction`, and what the policy `claimed`: DONE, FAIL or nothing.
    """

    def __init__(self, sample: Sample, steps: int, pool: Browsers) -> None:
        self.sample = sample
        self.limit = steps
        self.pool = pool
        self.info: dict[str, Any] = {
            "page": sample.truth["page"],
            "seed": sample.truth["seed"],
            "instruction": "",
            "claimed": "",
            **dict.fromkeys(("steps", "invalid", "stopped"), 0),
        }
        self._page: Page | None = None
        self._acts: list[Action] = []
        self._state: dict[str, Any] = {"done": False, "reward": 0.0}
        self._error: str | None = None
        self._closed = False

    def observe(self) -> Observation:
        """The screen as it is now, and the question."""
        pixels = self._guarded(wob.screenshot)
        if pixels is None:
            return Observation([QUESTION])
        screen = Screen(pixels, f"{self.sample.scene.key}:{self.info['steps']}")
        return Observation([screen, QUESTION])

    def act(self, response: str) -> None:
        """Do one action; what is no action changes nothing and counts as a step."""
        if self.done:
            raise RuntimeError(f"task {self.sample.task}: this episode is done already")
        self.info["steps"] += 1
        try:
            action = read_action(response)
        except ValueError:
            self.info["invalid"] += 1
            return self._end_if_done()
        if action.name in ("DONE", "FAIL"):
            self.info["claimed"] = action.name
        else:
            self._guarded(lambda page: self._perform(page, action))
            self._acts.append(action)
        self._end_if_done()

    def _perform(self, page: Page, action: Action) -> None:
        try:
            perform(page, action, wob.WIDTH, wob.HEIGHT)
        except ValueError:
            self.info["invalid"] += 1
        page.settle(0.02)
        self._state = wob.state(page)

    def _guarded(self, work: Callable[[Page], Any]) -> Any:
        """Do something with the page, which is first brought to where the episode is."""
        if self._closed:
            raise RuntimeError(f"task {self.sample.task}: this episode was closed")
        for attempt in range(self.pool.attempts):
            if self._error is not None:
                return None
            try:
                return work(self._ready())
            except BrowserStopped as error:
                self._release()
                self.info["stopped"] += 1
                last = attempt == self.pool.attempts - 1
                self.pool.counts.update(["stopped", "lost" if last else "retried"])
                if last:
                    self._error = str(error)
        return None

    def _ready(self) -> Page:
        if self._page is None:
            self._page = page = self.pool.lend()
            self._state = wob.begin(page, *(self.sample.truth[key] for key in ("page", "seed", "dark")))
            self.info["instruction"] = self._state["instruction"]
            for action in self._acts:
                self._perform(page, action)
        return self._page

    def _end_if_done(self) -> None:
        if self.done:
            self._release()

    def _release(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            self.pool.give_back(page)

    def close(self) -> None:
        """Give the browser back."""
        self._closed = True
        self._release()

    def scripted(self) -> str | None:
        """The next action by the page's elements, where a script is written for the page."""
        script = SCRIPTS.get(self.info["page"])
        if script is None:
            return None
        found = self._guarded(wob.elements)
        return script(self.info["instruction"], found) if found is not None else None

    def guess(self, bits: int) -> str:
        """A click anywhere."""
        return f"left_click(start_box='[{bits % 1000},{bits // 1000 % 1000}]')"

    @property
    def done(self) -> bool:
        """Whether the page has said how it went, the policy has, or no actions are left."""
        return bool(
            self._state["done"] or self.info["claimed"] or self._error or self.info["steps"] >= self.limit
        )

    def score(self) -> Reward:
        """The page's own reward, negative ones as nothing; claiming to be done earns nothing.

        Raises:
            BrowserStopped: in every attempt.
        """
        if not self.done:
            return Reward(None, error="not done yet")
        if self._error:
            raise BrowserStopped(self._error)
        value = min(1.0, max(0.0, float(self._state["reward"]))) if self._state["done"] else 0.0
        parts = {key: float(self.info[key]) for key in ("steps", "invalid", "stopped")}
        how = "the page is done" if self._state["done"] else self.info["claimed"] or "no actions are left"
        return Reward(value, parts, f"{self.info['page']}: {how}, reward {self._state['reward']:g}")
