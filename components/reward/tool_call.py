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
    A gold call that cannot be done, and a query that overruns, are failures of judging.
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
        tables = sample.truth.get("tables", {})
        try:
            wanted = effect(name, gold, tables)
        except BadCall as error:
            raise ValueError(f"the gold call: {error}") from None
        try:
            parts["effect"] = likeness(name, effect(name, arguments, tables), wanted)
        except BadCall as error:
            return Reward(0.0, parts, str(error))
        return Reward(parts["effect"], parts, f"effect {parts['effect']:.2f}")


def effect(name: str, arguments: dict[str, Any], tables: Any) -> Any:
    """What a call gives: a number, rows or boxes.

    Raises:
        BadCall: the call cannot be done.
        QueryOverran: whether it can be done is not known.
    """
    if name == "calculate":
        return calculated(arguments["expression"])
    if name == "query_table":
        return queried(arguments["sql"], tables)
    return arguments.get("boxes") or [arguments["box"]]


def likeness(name: str, found: Any, gold: Any) -> float:
    """How alike the effects of two calls of one tool are, from 0 to 1."""
    if name == "calculate":
        return float(math.isclose(found, gold, rel_tol=1e-9, abs_tol=1e-9))
    return float(found == gold) if name == "query_table" else overlap(found, gold)


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
