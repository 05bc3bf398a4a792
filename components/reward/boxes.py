"""Lists of boxes, of one kind or with labels."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.overlap import fewer, matched, threshold
from vlmloom.components.reward.parsed import NOWHERE, Corners, Parsed, Unreadable, corners, shown
from vlmloom.components.reward.wording import normal
from vlmloom.registry import register

Labelled = dict[str, list[Corners]]

KEYS = ("bbox_2d", "bbox", "box_2d", "box")
"""The keys under which models give a box."""
SURE = ("score", "confidence")
"""The keys under which they say how sure they are of it, as a share or per cent."""


@register("reward/boxes")
class Boxes(Parsed):
    """The share of boxes that are right: pairs that overlap enough, over the boxes of the longer list.

    Answers are JSON, `[[x1, y1, x2, y2], ...]` in thousandths. Pairs are made so that there are most of them,
    each box in one at most, so that repeated boxes and those that are not there cost.

    Args:
        overlap: the intersection over union from which a box counts as right.
        on_error: see `Verifier`.

    Reference: arXiv 2507.01006, table 1 (boxes with an overlap above a threshold over all boxes).

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "[[0, 0, 10, 10], [20, 0, 30, 10]]", Scene(""))
    >>> answers = ["[[20, 0, 30, 10], [0, 0, 10, 9]]", "[[0, 0, 10, 10]]", "[[0, 0, 1000, 1000]]"]
    >>> [reward.value for reward in Boxes().judge(sample, answers)]
    [1.0, 0.5, 0.0]
    """

    def __init__(self, *, overlap: float = 0.5, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.overlap = threshold("reward/boxes", overlap)

    def read(self, text: str, sample: Sample) -> list[Corners]:
        """The boxes; one box alone need not stand in a list."""
        value = read_json(text)
        if not isinstance(value, list):
            raise Unreadable(f"no list of boxes: {shown(text)}")
        fewer(len(value))
        single = len(value) == 4 and not any(isinstance(one, (list, dict)) for one in value)
        return [corners(_box(one)) for one in ([value] if single else value)]

    def compare(self, found: list[Corners], gold: list[Corners], sample: Sample) -> Reward:
        """The share."""
        placed(gold)
        right, total = matched(found, gold, self.overlap), max(len(found), len(gold))
        return Reward(right / total if total else 1.0, reason=f"{right} of {total} boxes")


@register("reward/detections")
class Detections(Parsed):
    """The share of labelled boxes that are right, paired within each label.

    Answers are JSON, `[{"label": ..., "bbox_2d": [x1, y1, x2, y2]}, ...]` in thousandths. For every label the
    longer of the two lists counts, so that boxes under a wrong label cost twice.

    Args:
        overlap: the intersection over union from which a box counts as right.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> gold = '[{"label": "cat", "bbox_2d": [0, 0, 10, 10]}, {"label": "dog", "bbox_2d": [5, 0, 9, 9]}]'
    >>> sample = Sample("t", "test", 0, [], gold, Scene(""))
    >>> answers = [gold, '[{"label": "a cat", "bbox_2d": [0, 0, 10, 10]}]', gold.replace("dog", "cat")]
    >>> [round(reward.value, 2) for reward in Detections().judge(sample, answers)]
    [1.0, 0.5, 0.33]
    """

    def __init__(self, *, overlap: float = 0.5, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.overlap = threshold("reward/detections", overlap)

    def read(self, text: str, sample: Sample) -> Labelled:
        """Boxes by label."""
        return read_detections(read_json(text), sample.truth.get("language", "en"))

    def compare(self, found: Labelled, gold: Labelled, sample: Sample) -> Reward:
        """The share."""
        right, total = tally(found, gold, self.overlap)
        return Reward(right / total if total else 1.0, reason=f"{right} of {total} boxes")


def read_detections(value: Any, language: str = "en") -> Labelled:
    """The boxes of each label.

    Raises:
        Unreadable: the value has another form.
    """
    if not isinstance(value, list):
        raise Unreadable(f"no list of boxes: {shown(value)}")
    fewer(len(value))
    found: Labelled = defaultdict(list)
    for item in value:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("label"), str)
            or (box := _box(item)) is item
        ):
            raise Unreadable(f'found {shown(item)}; {{"label": ..., "bbox_2d": [...]}} would be right')
        found[normal(item["label"], language)].append(corners(box))
    return dict(found)


def _box(item: Any) -> Any:
    """What stands for a box in an object of JSON under one of its usual keys; anything else as it is."""
    if not isinstance(item, dict):
        return item
    keys = [key for key, value in item.items() if not (key == "label" or (key in SURE and _share(value)))]
    return item[keys[0]] if len(keys) == 1 and keys[0] in KEYS else item


def _share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 100


def placed(gold: list[Corners]) -> None:
    """See that the boxes of a gold answer are such.

    Raises:
        ValueError: one of them is none.
    """
    if NOWHERE in gold:
        raise ValueError("the gold answer: 0 <= x1 < x2 <= 1000 and 0 <= y1 < y2 <= 1000 would be right")


def likened(found: Labelled, gold: Labelled) -> Labelled:
    """Boxes by the labels of the gold answer, where they are those in the plural or with a number behind.

    >>> likened({"cats": [(0, 0, 1, 1)], "cat 2": [(2, 0, 3, 1)], "dog": []}, {"cat": []})
    {'cat': [(0, 0, 1, 1), (2, 0, 3, 1)], 'dog': []}
    """
    named: Labelled = {}
    for label, boxes in found.items():
        plain = re.sub(r"(?<=\w)\s+\d{1,2}$", "", label)
        forms = (label, plain, plain.removesuffix("s"), plain.removesuffix("es"))
        meant = next((form for form in forms if form in gold), label)
        named[meant] = [*named.get(meant, ()), *boxes]
    return named


def tally(found: Labelled, gold: Labelled, overlap: float) -> tuple[int, int]:
    """Boxes that are right, and the boxes of the longer list of each label."""
    for boxes in gold.values():
        placed(boxes)
    found = likened(found, gold)
    right = sum(matched(found.get(label, []), boxes, overlap) for label, boxes in gold.items())
    return right, sum(max(len(found.get(one, ())), len(gold.get(one, ()))) for one in {*found, *gold})
