"""Calls of tools by their schema and their effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from vlmloom.components.contracts.boxes import intersection_over_union
from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.sandbox.tools import BadCall, calculated, queried, read_call
from vlmloom.registry import register


@register("reward/tool_call")
class ToolCall(Verifier):
    """One call in GLM's form, by its schema and by what it does beside the gold call `sample.answer`.

    `calculate` has to give the same number, `query_table` the same rows (of `truth["tables"]`), however they
    are written; `crop_image` and `read_text` count the overlap of their box, `draw_boxes` the overlap of the
    best pairs over the larger number of boxes. A call that does not fit its tool's schema is worth nothing.
    """

    longest = 10_000

    def score(self, sample: Sample, response: str) -> Reward:
        """Read, check, do, compare."""
        gold_name, gold = read_call(sample.answer)
        parts = {"schema": 0.0, "tool": 0.0, "effect": 0.0}
        try:
            name, arguments = read_call(response)
        except BadCall as error:
            return Reward(0.0, parts, str(error))
        parts["schema"] = 1.0
        if name != gold_name:
            return Reward(0.0, parts, f"called {name}; right is {gold_name}")
        parts["tool"] = 1.0
        try:
            parts["effect"] = effect(name, arguments, gold, sample.truth.get("tables", {}))
        except BadCall as error:
            return Reward(0.0, parts, str(error))
        return Reward(parts["effect"], parts, f"effect {parts['effect']:.2f}")


def effect(name: str, found: dict[str, Any], gold: dict[str, Any], tables: Any) -> float:
    """How alike the effects of two calls of one tool are, from 0 to 1.

    Raises:
        BadCall: the found call cannot be done.
    """
    if name == "calculate":
        one, other = calculated(found["expression"]), calculated(gold["expression"])
        return float(math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9))
    if name == "query_table":
        return float(queried(found["sql"], tables) == queried(gold["sql"], tables))
    return overlap(found.get("boxes") or [found["box"]], gold.get("boxes") or [gold["box"]])


def overlap(found: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]) -> float:
    """The overlap of the best pairs over the larger number of boxes.

    >>> overlap([[0, 0, 10, 10]], [[0, 0, 10, 10], [20, 20, 30, 30]])
    0.5
    """
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    if any(x1 >= x2 or y1 >= y2 for x1, y1, x2, y2 in found):
        return 0.0
    same = np.array([[intersection_over_union(tuple(a), tuple(b)) for b in gold] for a in found])  # type: ignore[arg-type]
    rows, columns = linear_sum_assignment(-same)
    return float(same[rows, columns].sum()) / max(same.shape)
