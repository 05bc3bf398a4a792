"""The reading probe: the same questions as text and as pictures of the text, asked in pairs.

What a model loses when words come as pixels is told apart by font and by resolution, and so is how much
shorter its answers become.

Reference: arXiv 2603.09095 ("Reading, Not Thinking"), where most of the loss is answers that are cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.pixels import as_pixels
from vlmloom.components.task.sheet import Face
from vlmloom.pipelines.evaluate import judged
from vlmloom.pipelines.evaluate_suite.target import Target
from vlmloom.pipelines.report.statistics import interval
from vlmloom.registry.errors import UserError

Tick = Callable[[int, int], None]
"""Called with (done, total) answers."""
TEXT = "text"
RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """What one way of asking gave, over the items of one category or of `all`.

    Attributes:
        category: of the questions.
        font: what the text was written with; `text` where it was given as text.
        size: of the letters in pixels; 0 for text.
        items: how many were asked, the same ones in every way.
        accuracy: the mean score; `low` and `high` are its interval, a paired bootstrap over items.
        gap: accuracy as text minus this one, with its interval; None for text.
        words: mean words of an answer.
        words_gap: words as text minus these, with its interval; None for text.
    """

    category: str
    font: str
    size: int
    items: int
    accuracy: float
    low: float
    high: float
    words: float
    gap: tuple[float, float, float] | None = None
    words_gap: tuple[float, float, float] | None = None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def questions(
    tasks: Mapping[str, Task], count: int, faces: Sequence[Face], sizes: Sequence[int], split: str = "test"
) -> list[Sample]:
    """The first items of each task that all the fonts can write.

    Raises:
        UserError: a task has pictures, or a font can write none of its questions.
    """
    found = []
    for name, task in tasks.items():
        if task.visual:
            raise UserError(f"probe-reading: task {name} has pictures; tasks of text alone would be right")
        asked: list[Sample] = []
        for index in range(4 * count):
            sample = task.plan(split, index)
            if len(asked) < count and _writable(sample, faces, sizes):
                asked.append(sample)
        if not asked:
            names = ", ".join(face.name for face in faces)
            raise UserError(
                f"probe-reading: no question of {name} can be written in {names}; other fonts would be right"
            )
        found += asked
    return found


def _writable(sample: Sample, faces: Sequence[Face], sizes: Sequence[int]) -> bool:
    try:
        for face in faces:
            as_pixels(sample, face, sizes[0])
    except ValueError:
        return False
    return True


def probe(
    target: Target,
    tasks: Mapping[str, Task],
    samples: Sequence[Sample],
    faces: Sequence[Face],
    sizes: Sequence[int],
    *,
    tick: Tick | None = None,
) -> list[Row]:
    """Ask every sample as text, and in every font and size.

    Args:
        target: what is probed.
        tasks: by the name that the samples carry, for their verifiers.
        samples: of text alone.
        faces: the fonts.
        sizes: of letters in pixels.
        tick: told of progress.

    Raises:
        UserError: a question got no answer, or could not be judged.
    """
    ways: list[tuple[str, int, list[Sample]]] = [(TEXT, 0, list(samples))]
    ways += [
        (face.name, size, [as_pixels(one, face, size) for one in samples]) for face in faces for size in sizes
    ]
    total, scores, words = len(ways) * len(samples), [], []
    for number, (_, _, asked) in enumerate(ways):
        given = [""] * len(asked)
        for done, (place, reply) in enumerate(target.replies(asked), 1):
            if reply.text is None:
                raise UserError(f"probe-reading: {asked[place].task}#{asked[place].index}: {reply.error}")
            given[place] = reply.text
            if tick is not None:
                tick(number * len(samples) + done, total)
        scores.append([judged(tasks[one.task], one, text) for one, text in zip(asked, given, strict=True)])
        words.append([len(text.split()) for text in given])
    return list(_rows(ways, samples, np.array(scores, float), np.array(words, float)))


def _rows(
    ways: Sequence[tuple[str, int, list[Sample]]],
    samples: Sequence[Sample],
    scores: np.ndarray,
    words: np.ndarray,
) -> Iterator[Row]:
    names = np.array([sample.task for sample in samples])
    categories = list(dict.fromkeys(names.tolist()))
    for category in [*categories, "all"] if len(categories) > 1 else categories:
        chosen = np.ones(len(names), bool) if category == "all" else names == category
        weights = _weights(int(chosen.sum()))
        for number, (font, size, _) in enumerate(ways):
            mine, theirs = scores[number, chosen], words[number, chosen]
            accuracy, low, high = _mean(mine, weights, 0.0)
            gaps: dict[str, Any] = {}
            if size:
                gaps["gap"] = _mean(scores[0, chosen] - mine, weights, -1.0)
                gaps["words_gap"] = _mean(words[0, chosen] - theirs, weights, None)
            yield Row(category, font, size, len(mine), accuracy, low, high, float(theirs.mean()), **gaps)


def _weights(items: int) -> np.ndarray:
    """How often each item is drawn, `[R, items]`; the same for every way, so that differences are paired."""
    return np.random.default_rng(0).multinomial(items, np.full(items, 1 / items), size=RESAMPLES)


def _mean(values: np.ndarray, weights: np.ndarray, floor: float | None) -> tuple[float, float, float]:
    mean = float(values.mean())
    return mean, *interval(mean, weights @ values / len(values), len(values), floor=floor)
