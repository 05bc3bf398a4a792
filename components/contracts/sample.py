"""One question of a task: what is asked, what is seen, what is true, and what was answered.

A sample is planned without pixels (its text, the sizes of its pictures and the truth of its scene are known
at once) and drawn later, so that packing never renders anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Picture(ABC):
    """A still or a clip that can say its size before it is drawn.

    Attributes:
        frames: number of frames, 1 for a still.
        height: in pixels.
        width: in pixels.
        key: says which picture this is; equal keys mean equal pixels.
        times: when each frame of a clip was taken, in seconds; empty for a still, and where it is not known.
    """

    frames: int = 1
    times: Sequence[float] = ()
    height: int
    width: int
    key: str

    @abstractmethod
    def render(self) -> np.ndarray:
        """The pixels, uint8 `[frames, height, width, 3]`.

        Raises:
            CorruptPicture: the pixels cannot be had.
        """


class CorruptPicture(ValueError):
    """A picture cannot be decoded; the message names the file or the key."""


@dataclass(frozen=True)
class Thing:
    """Something in a scene.

    Attributes:
        name: what it is called.
        category: the group it belongs to.
        box: x1, y1, x2, y2 from 0 to 1000, origin top left.
        colour: where the task speaks of colour.
        text: where the thing is a piece of writing, what it says.
        frame: the frame (of a clip) or the picture (of several) that it is in.
    """

    name: str
    category: str = ""
    box: tuple[int, int, int, int] = (0, 0, 1000, 1000)
    colour: str = ""
    text: str = ""
    frame: int = 0


@dataclass(frozen=True)
class Scene:
    """The structured truth of what a sample shows. Specialists are trained on it; an oracle reads it.

    Attributes:
        key: equal keys mean the same scene; intervals are clustered by it.
        things: everything in it, in reading order, of all pictures of the sample.
    """

    key: str
    things: tuple[Thing, ...] = ()


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
"""What frames and pictures are called in words."""


def describe(scene: Scene, words: Mapping[str, str] | None = None) -> str:
    """A scene in words: all that perception can say about it, in one form for every task.

    Exact truth gives the oracle's text, a specialist's findings the cascade's. Things run in reading order;
    with several frames or pictures each is led by its ordinal, and one equal to the one before is left out.

    Args:
        scene: what is seen.
        words: English words to those of another language; what is not among them stays as it is.

    >>> dog, hat = Thing("dog", box=(0, 0, 500, 500)), Thing("hat", box=(500, 0, 900, 400), colour="red")
    >>> describe(Scene("", (hat, dog)))
    'dog [0,0,500,500]; red hat [500,0,900,400]'
    >>> describe(Scene("", (dog, Thing("word", box=(10, 20, 30, 40), text="GO", frame=1))))
    'first: dog [0,0,500,500]; second: word GO [10,20,30,40]'
    >>> describe(Scene("", (hat,)), {"red": "红色", "hat": "帽子"})
    '红色 帽子 [500,0,900,400]'
    """
    words = words or {}
    frames: dict[int, list[Thing]] = {}
    for thing in scene.things:
        frames.setdefault(thing.frame, []).append(thing)
    parts: list[str] = []
    before = None
    for number in sorted(frames):
        # Bands of a third of the height keep things that stand side by side in one row.
        things = sorted(
            frames[number], key=lambda thing: ((thing.box[1] + thing.box[3]) // 667, thing.box, thing.name)
        )
        phrases = "; ".join(_phrase(thing, words) for thing in things)
        if phrases != before:
            ordinal = ORDINALS[number % len(ORDINALS)]
            parts.append(phrases if len(frames) == 1 else f"{words.get(ordinal, ordinal)}: {phrases}")
        before = phrases
    return "; ".join(parts) or words.get("nothing", "nothing")


def _phrase(thing: Thing, words: Mapping[str, str]) -> str:
    named = (words.get(word, word) for word in (thing.colour, thing.name))
    told = " ".join(word for word in (*named, thing.text) if word)
    return f"{told} [{','.join(map(str, thing.box))}]"


@dataclass
class Sample:
    """One item of a task.

    Attributes:
        task: the registered name without its kind, e.g. `count`.
        split: train, validation, test, shift, compositional or corrupt.
        index: within the split.
        prompt: text and pictures in the order in which they are asked.
        answer: the gold answer as text.
        scene: the truth of the scene.
        caption: the scene in words, for designs that train on captions.
        captions: what somebody wrote about the first picture, by language; empty where nobody did.
        choices: the closed set of answers where there is one.
        source: which source package the pictures come from.
        truth: whatever else the task's checker needs.
    """

    task: str
    split: str
    index: int
    prompt: list[str | Picture]
    answer: str
    scene: Scene
    caption: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    source: str = ""
    truth: dict[str, Any] = field(default_factory=dict)

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of the prompt, in order."""
        return [part for part in self.prompt if isinstance(part, Picture)]


@dataclass(frozen=True)
class Observation:
    """What an episode shows: text and pictures, as in `Sample.prompt`."""

    prompt: list[str | Picture]


class Episode(ABC):
    """One run of a task: observe, act, until done. A single-step task ends after one act."""

    @abstractmethod
    def observe(self) -> Observation:
        """What the policy sees now."""

    @abstractmethod
    def act(self, response: str) -> None:
        """Take the policy's answer or action."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether the episode has ended."""

    @abstractmethod
    def score(self) -> Reward:
        """How it went; called once it is done.

        Raises:
            RuntimeError: what it ran in, such as a browser, is gone, so that nobody knows.
        """

    def scripted(self) -> str | None:
        """The next act of a policy that knows the way; None where nobody has written one."""
        return None

    def guess(self, bits: int) -> str:
        """A valid act of a policy that does not look, another one for other random bits."""
        return ""

    def close(self) -> None:  # noqa: B027
        """Give up what it holds, such as a browser's page; may be called twice."""


@dataclass(frozen=True)
class Reward:
    """What a verifier says of one response.

    Attributes:
        value: finite, or None on error; verifiers promise [0, 1].
        parts: named sub-scores.
        reason: one line for a person.
        error: what went wrong in judging, never a low reward in disguise.
    """

    value: float | None
    parts: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    error: str | None = None
