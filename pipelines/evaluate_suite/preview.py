"""A page that shows what a suite asks: items of each category, and what their verifier says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sample import Picture, Reward, Sample
from vlmloom.components.contracts.suite import FAMILIES, Suite
from vlmloom.components.contracts.task import Task
from vlmloom.components.media.png import data_url, png
from vlmloom.pipelines.evaluate_suite.target import Policy
from vlmloom.pipelines.report.page import environment
from vlmloom.registry.errors import UserError, one_line

Row = dict[str, Any]
FRAMES, LARGEST = 32, 720
"""Of a clip, and pixels of the longer side, as they are shown."""
GUESSES = 20
"""Answers of other items that are tried until one is wrong."""


def preview(
    suite: Suite,
    name: str,
    split: str = "test",
    items: int = 4,
    tasks: list[str] | None = None,
    tick: Callable[[str], None] = lambda name: None,
) -> str:
    """The page.

    Args:
        suite: with its sources prepared.
        name: of the suite.
        split: of it.
        items: of each category.
        tasks: names of categories; None takes all that have the split.
        tick: told each category.

    Raises:
        UserError: a category is not there.
    """
    splits = suite.splits()
    if split not in splits:
        raise UserError(
            f"tasks preview: --split {split} is none of suite {name}; {', '.join(splits)} would be right"
        )
    there = splits[split]
    for task in tasks or ():
        if task not in there:
            raise UserError(
                f"tasks preview: suite {name} has no {task!r} in its {split} split; "
                f"{', '.join(there)} would be right"
            )
    order = {family: place for place, family in enumerate(FAMILIES)}
    chosen = sorted(tasks or there, key=lambda one: order.get(suite.tasks[one].family, len(order)))
    categories = []
    for one in chosen:
        tick(one)
        categories.append(_category(suite, suite.tasks[one], split, items))
    families = [
        {"name": family or "others", "categories": list(members)}
        for family, members in groupby(categories, key=lambda row: row["family"])
    ]
    left_out = {
        task.removeprefix("task/"): lacks
        for task, lacks in suite.availability().items()
        if task.startswith("task/")
    }
    page = environment(Path(__file__).parent).get_template("preview.html")
    return page.render(
        families=families, name=name, split=split, left_out=left_out, count=len(categories), items=items
    )


def _category(suite: Suite, task: Task, split: str, items: int) -> Row:
    shown = _played if task.steps > 1 else _asked
    knob = getattr(task, task.knob, None) if task.knob else None
    return {
        "name": task.name,
        "family": task.family,
        "about": (type(getattr(task, "task", task)).__doc__ or "").strip().split("\n")[0],
        "knob": f"{task.knob} {knob}" if knob is not None else task.knob,
        "steps": task.steps,
        "items": [shown(suite, task, split, index) for index in range(items)],
    }


def _asked(suite: Suite, task: Task, split: str, index: int) -> Row:
    sample = task.plan(split, index)
    wrong = next(_wrong(suite, task, sample), None)
    return {
        "prompt": [_part(part) for part in sample.prompt],
        "gold": sample.answer,
        "choices": sample.choices,
        "right": _said(task.check(sample, sample.answer)),
        "guess": None if wrong is None else wrong[0],
        "wrong": None if wrong is None else _said(wrong[1]),
    }


def _wrong(suite: Suite, task: Task, sample: Sample) -> Iterator[tuple[str, Reward]]:
    """Gold answers of other items that are not right here, and at last nothing."""
    others = (task.plan(sample.split, 1000 + place).answer for place in range(GUESSES))
    guesses = [next(iter(Policy("random", suite).replies([sample])))[1].text or "", *others]
    for guess in [*(one for one in guesses if one != sample.answer), ""]:
        reward = task.check(sample, guess)
        if reward.value is None or reward.value < 1:
            yield guess, reward


def _played(suite: Suite, task: Task, split: str, index: int) -> Row:
    """An episode by its script, where it has one, with what is new in each step."""
    episode = task.open(split, index)
    prompt: dict[str, Row] = {}
    acts: list[str] = []

    def look() -> None:
        for part in episode.observe().prompt:
            key = part if isinstance(part, str) else part.key
            if key not in prompt:
                prompt[key] = _part(part)

    try:
        look()
        while not episode.done and len(acts) < task.steps:
            act = episode.scripted()
            if act is None:
                break
            acts.append(act)
            episode.act(act)
            if not episode.done:
                look()
        said = _said(episode.score()) if episode.done else ""
    finally:
        episode.close()
    return {
        "prompt": list(prompt.values()),
        "gold": "\n".join(acts) or "(no script)",
        "choices": (),
        "right": said,
        "guess": None,
        "wrong": None,
    }


def _part(part: str | Picture) -> Row:
    if isinstance(part, str):
        return {"text": part}
    frames = part.render()
    picked = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), FRAMES)).round().astype(int))
    few = len(picked) < 3
    size = f"{part.width} x {part.height}" + (f", {len(frames)} frames" if len(frames) > 1 else "")
    return {"pictures": [_shown(frames[place]) for place in picked], "size": size, "few": few}


def _shown(frame: np.ndarray) -> str:
    image = Image.fromarray(np.ascontiguousarray(frame))
    image.thumbnail((LARGEST, LARGEST))
    return data_url(png(np.asarray(image)))


def _said(reward: Reward) -> str:
    if reward.error is not None:
        return f"error: {one_line(ValueError(reward.error))}"
    parts = ", ".join(f"{name} {value:.2g}" for name, value in reward.parts.items())
    told = f"{reward.value:.2f}" + (f": {reward.reason}" if reward.reason else "")
    return f"{told} ({parts})" if parts else told
