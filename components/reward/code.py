"""Code by what its functions give back."""

from __future__ import annotations

import ast
import math
import textwrap
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import FENCE, shown
from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.registry import register


@register("reward/code")
class Code(Verifier):
    """The share of asserts that hold for Python code, which is run in the sandbox.

    The truth of a sample is `asserts`, lines such as `assert area(2, 3) == 6` with a literal on the
    right. Only the left side is evaluated inside, and what it gives is compared out here: so code that
    leaves early, patches `==` or looks through its caller's variables never sees what would be right.

    Args:
        seconds: wall time for one answer.
        whole: full marks or none, instead of the share.
        weaker: run answers even where the sandbox misses a guard; see `CodeRunner`.
        on_error: see `Verifier`.
    """

    def __init__(
        self, *, seconds: float = 5.0, whole: bool = False, weaker: bool = False, on_error: OnError = "skip"
    ) -> None:
        super().__init__(on_error=on_error)
        self.whole = whole
        self.runner = CodeRunner(seconds=seconds, weaker=weaker)

    def score(self, sample: Sample, response: str) -> Reward:
        """Run the code, evaluate the left sides, compare."""
        asserts = [read_assert(line) for line in sample.truth["asserts"]]
        run = self.runner.run([fenced(response, "python")], [call for call, _ in asserts])
        if run.error:
            return Reward(0.0, {"passed": 0.0}, run.error)
        judged = [
            (call, value, gold, equal(literal(value), gold))
            for value, (call, gold) in zip(run.values, asserts, strict=True)
        ]
        share = sum(good for *_, good in judged) / len(judged)
        wrong = next((one for one in judged if not one[-1]), None)
        reason = f"{sum(good for *_, good in judged)} of {len(judged)} asserts hold"
        if wrong:
            reason += f"; {wrong[0]} is {shown(wrong[1])}, right is {shown(repr(wrong[2]))}"
        return Reward(float(share == 1) if self.whole else share, {"passed": share}, reason)


def fenced(text: str, language: str) -> str:
    r"""The content of the fences of a language, or of any, one after another; without one, the text itself.

    >>> fenced("Here:\n```python\nx = 1\n```", "python")
    'x = 1\n'
    """
    fences = [(fence["format"].strip().lower(), fence["inner"]) for fence in FENCE.finditer(text)]
    found = [inner for form, inner in fences if form == language] or [inner for _, inner in fences]
    return "".join(map(textwrap.dedent, found)) or text


def read_assert(line: str) -> tuple[str, Any]:
    """The left side of an assert as text, and the value on its right.

    Raises:
        ValueError: it has another form.

    >>> read_assert("assert area(2, 3) == 6")
    ('area(2, 3)', 6)
    """
    match ast.parse(line.strip()).body:
        case [ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]))]:
            return ast.unparse(left), ast.literal_eval(right)
    raise ValueError(f"found {line!r}; `assert CALL == LITERAL` would be right")


def literal(text: str) -> Any:
    """The value of the `repr` of a literal; of anything else, an object that equals nothing."""
    try:
        return ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return object()


def equal(found: Any, gold: Any) -> bool:
    """Equal in value and type; floats up to one in a million.

    >>> equal([1, 2.0000000001], [1, 2.0]), equal(True, 1), equal((1,), [1])
    (True, False, False)
    """
    if isinstance(gold, float) and isinstance(found, (int, float)) and not isinstance(found, bool):
        try:
            return math.isclose(found, gold, rel_tol=1e-6, abs_tol=1e-9)
        except OverflowError:
            return False
    if type(found) is not type(gold):
        return False
    if isinstance(gold, (list, tuple)):
        return len(found) == len(gold) and all(map(equal, found, gold))
    if isinstance(gold, dict):
        return found.keys() == gold.keys() and all(equal(found[key], gold[key]) for key in gold)
    return bool(found == gold)
