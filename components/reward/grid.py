"""Grids of digits, as in ARC."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.parsed import Parsed, Unreadable, shown, unwrapped
from vlmloom.registry import register

Rows = list[list[int]]


@register("reward/grid")
class Grid(Parsed):
    r"""Full marks for the same grid; `parts` holds the share of cells that are right.

    Answers are JSON, `[[0, 1], [2, 3]]`, or a line of digits for each row, with or without spaces. Cells of a
    grid of another shape are not compared.

    Args:
        whole: full marks or none, as ARC is scored; else the share of right cells. Copying the question's
            grid gets most cells right in many puzzles.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "0 1\n2 3", Scene(""))
    >>> [reward.value for reward in Grid(whole=False).judge(sample, ["[[0,1],[2,3]]", "01\n22", "0 1 2 3"])]
    [1.0, 0.75, 0.0]
    """

    def __init__(self, *, whole: bool = True, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.whole = whole

    def read(self, text: str, sample: Sample) -> Rows:
        """The rows."""
        text = unwrapped(text)
        if re.fullmatch(r"\[[\d\s.,]*\](?:[^\S\n]*+\n\s*+\[[\d\s.,]*\])+", text) or "," not in text:
            # A list a row, or as NumPy prints an array.
            text = re.sub(r"[\[\]]", " ", text)
        if text.startswith("["):
            rows = read_json(text)
            if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
                raise Unreadable(f"no grid: {shown(text)}")
        else:
            lines = [re.sub(r"[\s,|]+", "", line) for line in text.splitlines() if line.strip()]
            if not lines or not all(re.fullmatch("[0-9]+", line) for line in lines):
                raise Unreadable(f"no rows of digits: {shown(text)}")
            rows = [list(map(int, line)) for line in lines]
        cells = [cell for row in rows for cell in row]
        if not cells or any(type(cell) is not int or not 0 <= cell <= 9 for cell in cells):
            raise Unreadable(f"cells that are no digits: {shown(text)}")
        if len({len(row) for row in rows}) > 1:
            raise Unreadable("rows of several lengths")
        return rows

    def compare(self, found: Rows, gold: Rows, sample: Sample) -> Reward:
        """1 or 0, or the share."""
        form, right_form = ((len(rows), len(rows[0])) for rows in (found, gold))
        if form != right_form:
            reason = f"{form[0]} x {form[1]} cells, right are {right_form[0]} x {right_form[1]}"
            return Reward(0.0, {"cells": 0.0}, reason)
        pairs = [pair for rows in zip(found, gold, strict=True) for pair in zip(*rows, strict=True)]
        right = sum(one == other for one, other in pairs)
        share = right / len(pairs)
        value = float(share == 1) if self.whole else share
        return Reward(value, {"cells": share}, f"{right} of {len(pairs)} cells")
