"""JSON by its fields."""

from __future__ import annotations

import math
import re
from functools import cached_property
from typing import Any

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.parsed import Parsed, Unreadable
from vlmloom.components.reward.wording import normal
from vlmloom.registry import register


@register("reward/json")
class Json(Parsed):
    """F1 over the fields of a JSON answer: what both have, against what each has.

    A field is a value that is no object or list, with the keys that lead to it; entries of lists are aligned
    in their order so that most fields agree. Texts are compared as `reward/exact` does, whatever their
    case, e-mail addresses too, which are delivered alike in practice; numbers with the tolerance, except
    under keys that speak of a year. An answer that breaks `truth["schema"]`, a JSON Schema, is worth nothing.

    Args:
        relative: tolerance of numbers, of the gold value.
        whole: full marks or none.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> gold = '{"shop": "Ada", "total": 12.5, "items": ["tea", "bun"]}'
    >>> sample = Sample("t", "test", 0, [], gold, Scene(""))
    >>> answers = ['{"items": ["Tea", "Bun"], "total": 12.50, "shop": "ADA"}']
    >>> answers += ['{"shop": "Ada", "items": ["bun"]}']
    >>> [round(reward.value, 2) for reward in Json().judge(sample, answers)]
    [1.0, 0.67]
    """

    def __init__(self, *, relative: float = 0.0, whole: bool = False, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if not 0 <= relative < math.inf:
            raise ValueError(f"reward/json: relative is {relative}; 0 or more would be right")
        self.relative, self.whole = relative, whole

    def read(self, text: str, sample: Sample) -> Any:
        """The value."""
        value = read_json(text)
        schema = sample.truth.get("schema")
        if schema is not None and (wrong := self._breach(schema, value)):
            raise Unreadable(wrong)
        return value

    def compare(self, found: Any, gold: Any, sample: Sample) -> Reward:
        """F1."""
        sizes = fields(found), fields(gold)
        if sizes[0] > 4 * sizes[1] + 16:  # the F1 would be under 0.4, and aligning takes time
            return Reward(0.0, {"fields": 0.0}, f"{sizes[0]} fields; right are {sizes[1]}")
        both = self._agreeing(found, gold, "")
        score = 2 * both / sum(sizes)
        value = float(score == 1) if self.whole else score
        return Reward(
            value, {"fields": score}, f"{both} fields agree, of {sizes[0]} found and {sizes[1]} right"
        )

    @cached_property
    def _validators(self) -> dict[str, Any]:
        return {}

    def _breach(self, schema: dict[str, Any], value: Any) -> str:
        """Where a value breaks a schema, empty where it does not; what a schema refers to is in it."""
        from jsonschema import Draft202012Validator
        from referencing import Registry

        if (key := repr(schema)) not in self._validators:
            self._validators.clear()
            self._validators[key] = Draft202012Validator(schema, registry=Registry())
        error = next(self._validators[key].iter_errors(value), None)
        return "" if error is None else f"breaks the schema at {error.json_path}: {error.message[:200]}"

    def _agreeing(self, found: Any, gold: Any, key: str) -> int:
        """The fields that both have."""
        if isinstance(found, dict) and isinstance(gold, dict) and gold and found:
            return sum(self._agreeing(found[one], gold[one], one) for one in gold if one in found)
        if isinstance(found, list) and isinstance(gold, list) and gold and found:
            row = [0] * (len(gold) + 1)
            for item in found:
                before = 0
                for place, against in enumerate(gold, 1):
                    both = before + self._agreeing(item, against, key)
                    before = row[place]
                    row[place] = max(before, row[place - 1], both)
            return row[-1]
        return int(self._same(found, gold, key))

    def _same(self, found: Any, gold: Any, key: str) -> bool:
        if isinstance(gold, str) and isinstance(found, str):
            return normal(found) == normal(gold)
        if isinstance(gold, (bool, type(None), dict, list)) or isinstance(found, bool):
            return type(found) is type(gold) and found == gold
        one, other = number(found), number(gold)
        if one is None or other is None:
            return False
        room = 0.0 if "year" in key.lower() else self.relative * abs(other)
        if not room and other == int(other):
            return one == other
        return abs(one - other) <= room + 1e-9 * abs(other)


def number(value: Any) -> float | None:
    """A number, also one written as a text, a whole one to the last digit; None for anything else.

    >>> number("4539578763621486"), number("2.50"), number("tea")
    (4539578763621486, 2.5, None)
    """
    if not isinstance(value, (int, float, str)) or (isinstance(value, str) and len(value) > 40):
        return None
    if isinstance(value, str) and not re.fullmatch(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", value):
        return None  # 02134 and 1e5 are codes where they are texts
    try:
        read = float(value)
        if isinstance(value, int) or re.fullmatch(r"[-+]?[0-9]+", str(value)):
            return int(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def fields(value: Any) -> int:
    """How many fields a JSON value has; an empty object or list is one.

    >>> fields({"a": 1, "b": [2, {"c": 3}], "d": []})
    4
    """
    if not isinstance(value, (dict, list)) or not value:
        return 1
    return sum(map(fields, value.values() if isinstance(value, dict) else value))
