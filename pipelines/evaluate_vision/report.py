"""What the probes found: every number of `report.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vlmloom.pipelines.evaluate_vision.score import Score
from vlmloom.pipelines.report import Answer, Category, Comparison, build_document, statistics
from vlmloom.pipelines.report.measured import estimate
from vlmloom.pipelines.report.wording import between

Row = dict[str, Any]


def answers(tower: str, scores: Sequence[Score], seed: int) -> list[Answer]:
    """One a test picture; pictures of one thing are drawn together when an interval is."""
    return [
        Answer(tower, seed, score.split, score.probe, item, f"thing {thing}", float(value))
        for score in scores
        for item, (thing, value) in enumerate(zip(score.things, score.values, strict=True))
    ]


def document(
    found: Mapping[str, Sequence[Answer]],
    chances: Mapping[str, float | None],
    against: str,
    seed: int,
    facts: Row,
) -> Row:
    """The report in the form of a comparison's, where towers are the designs and probes the categories.

    Args:
        found: tower -> its answers.
        chances: probe -> the score of a guess.
        against: the tower that the others are compared with.
        seed: of the draws.
        facts: `machine`, `versions` and `command`.

    Returns:
        The content of `report.json`; its `differences` are those to `against`, and `drops` those of a tower
        to itself, on pictures of the same places in another style or at another side.
    """
    towers = list(found)
    comparison = Comparison(
        budget={},
        designs=towers,
        seeds=[seed],
        runs=[],
        answers=[answer for own in found.values() for answer in own],
        categories=[Category(name, visual=False, chance=chance) for name, chance in chances.items()],
        reference=None,
        base=against,
        oracles={},
        **facts,
    )
    made = build_document(comparison)
    # Sides in the order that they were asked for, not that of their letters.
    order = list(dict.fromkeys(answer.split for answer in comparison.answers))
    made["splits"].sort(key=lambda row: order.index(row["name"]))
    made["summary"].sort(key=lambda row: order.index(row["split"]))
    made["differences"] = [
        row
        for split in made["splits"]
        for probe in chances
        for tower in towers
        if tower != against and (row := between(made, tower, against, split["name"], probe)) is not None
    ]
    made["drops"] = [row for tower in towers for row in _drops(tower, found[tower])]
    return made


def _drops(tower: str, own: Sequence[Answer]) -> list[Row]:
    """Paired differences of other splits to `test`; an item there is the picture of the same number here."""
    splits = list(dict.fromkeys(answer.split for answer in own if answer.split != "test"))
    probes = list(dict.fromkeys(answer.category for answer in own if answer.split != "test"))
    rows = []
    for probe in probes:
        values = [
            [answer.correct for answer in own if (answer.split, answer.category) == (split, probe)]
            for split in ("test", *splits)
        ]
        scenes = [answer.scene for answer in own if (answer.split, answer.category) == ("test", probe)]
        plain = statistics.Scores(
            designs=("test", *splits),
            seeds=(0,),
            categories=(probe,),
            values=np.array(values)[:, None],
            category=np.zeros(len(scenes), np.int64),
            scene=np.unique(scenes, return_inverse=True)[1],
            plain=1 + len(splits),
        )
        pairs = [(row, 0) for row in range(1, len(splits) + 1)]
        drawn = statistics.bootstrap(statistics.with_differences(plain, pairs))
        for offset, split in enumerate(splits):
            drop = drawn.estimate(drawn.plain + offset, [0])
            assert drop is not None
            place = {"design": tower, "split": split, "category": probe}
            rows.append(place | estimate("difference", drop))
    return rows
