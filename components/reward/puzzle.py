"""Puzzles of reasoning-gym by their own scoring."""

from __future__ import annotations

import ast
import keyword
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.leads import asked
from vlmloom.components.reward.number import HEDGES, SAID, SCALES, counted
from vlmloom.components.reward.parsed import Unreadable, shown, unwrapped
from vlmloom.components.reward.wording import crossed
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

FUNCTIONS = frozenset("sin cos tan asin acos atan sinh cosh tanh exp log ln sqrt abs Abs".split())
CALL = re.compile(r"(\w+)\s*\(|[\])'\"]\s*\(")
SEARCHING = ("knights_knaves", "fraction_simplification", "gsm_symbolic")
"""Datasets whose scorers look for the answer anywhere in a text, whatever is said beside it."""
SPOKEN = {
    "shortest_path": "up|down|left|right",
    "complex_arithmetic": "[ij]",
    "sokoban": "[udlr]+",
    "rubiks_cube": "[a-z]w?",
    "rush_hour": "[a-z]",
    "word_ladder": "[a-z]+",
    "palindrome_generation": "[a-z]+",
    "jugs": "fill|empty|pour",
}
"""Datasets with several right answers, and the words that these may have beside those of the given one."""
OPERATIONS = re.compile(r"(?<=\d)e(?=[-+]?\d)|\\(?:[dt]?frac|times|cdot|left|right|sqrt)\b")
"""What is no word: an exponent, and how LaTeX writes operations."""
STRANGE = re.compile(r"""_|[^\w\s,.;:()\[\]{}'"+\-*/^=|\\$\u00d7\u00f7\u00b7\u22c5\u2212]""")
"""Signs that neither write a number, a calculation, a list nor a board."""
SORTED = "number_sorting"
"""Its scorer allows for an error of each number."""
NEAR = 0.01
"""Some scorers allow for an error that is larger than a small right number itself."""
NO_NUMBER = re.compile(r"(?<![a-z])(?:nan|inf|infinity)(?![a-z])", re.I)
"""What some scorers compute with, and find near to everything."""
CODE = re.compile(r"\w_|_\w|\.\s*[^\W\d]|\b(?:lambda|import|yield|await)\b|[\\#]")

TOWER = re.compile(r"(?:\*\*|\^)\s*[-(]*\s*(?:[0-9]{3,}|[0-9.]+\s*(?:\*\*|\^|!))|[0-9]{4,}\s*!|[0-9]{30,}")
"""Powers and factorials that no puzzle asks for and that take for ever."""


@register("reward/puzzle")
class Puzzle(Verifier):
    """What reasoning-gym's own `score_answer` says, in a process of its own.

    The truth of a sample is `dataset`, its name there, and `entry`, the entry as JSON has it. Some of these
    scorers evaluate the answer as an expression: those are shown arithmetic alone, and an answer that looks
    like code is wrong, unseen. So is one that is no number, is struck out, or has words or signs that neither
    the given answer nor another right one could have, since many scorers read past them.

    Args:
        whole: full marks or none; else also what it gives for an answer of the right form.
        seconds: CPU time for one answer.
        on_error: see `Verifier`.

    Raises:
        UserError: reasoning-gym is not installed.
    """

    longest = 10_000

    def __init__(self, *, whole: bool = True, seconds: float = 3.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        try:
            from importlib.metadata import version

            version("reasoning-gym")
        except ImportError:
            raise UserError(
                "reward/puzzle: reasoning-gym is not installed; pip install 'vlmloom[tasks]'"
            ) from None
        self.whole, self.seconds = whole, seconds

    def score(self, sample: Sample, response: str) -> Reward:
        """What the puzzle's own scoring says."""
        text, gold = response.strip(), sample.answer
        if not text:
            return Reward(0.0, reason="an empty answer")
        if text != gold.strip():
            try:
                text = unwrapped(text, stop=not gold.endswith("."))
            except Unreadable as error:
                return Reward(0.0, reason=str(error))
        text = likened(text, gold)
        question = str(sample.truth["entry"].get("question", ""))
        if "=" not in gold and text != gold:
            # Where a value is asked for, its letter or the question's own expression may lead it.
            found = re.fullmatch(r"(?:the value of )?\$?([a-z])\$?\s*(?:=|is)\s*(.+)", text, re.I)
            led = text
            if found and re.search(rf"\b{found[1]}\b(?!\s*[:=])", question):
                led = text if re.search(rf"\b{found[1]}\b\s*[:=]", question) else found[2]
            elif not re.search(r"\s", gold):
                led = asked(text, question)
            text = text if led == text else likened(unwrapped(led), gold)
        if sample.truth["dataset"] in SEARCHING:
            # Its question has "a altruist", its scorer wants the other article.
            text = re.sub(r"\ba (?=[aeiou])", "an ", text)
            text = text if re.search(r"\d", gold) else re.sub(r"^\s*[-*\u2022]\s+", "", text, flags=re.M)
        if sample.truth["dataset"] in SEARCHING or gold.isdigit():
            text = bare(text, question)
        if unfit := _unfit(sample.truth["dataset"], text, sample.answer):
            return Reward(0.0, {"score": 0.0}, f"{unfit}: {shown(text)}")
        try:
            value = bounded(self.seconds).ask(scored, sample.truth["dataset"], sample.truth["entry"], text)
        except Overran as error:
            return Reward(0.0, reason=f"{shown(text)}: {error}")
        if value is None:
            return Reward(0.0, reason=f"code, not an answer: {shown(text)}")
        value = min(max(float(value), 0.0), 1.0)
        return Reward(float(value == 1) if self.whole else value, {"score": value}, f"answered {shown(text)}")


BOARD = re.compile(r"\S+(?: \S+)+(?:\n\S+(?: \S+)+)+")
"""Rows of cells with a space between."""


def likened(text: str, gold: str) -> str:
    r"""An answer in the signs of the gold one: its cross, its capitals, the spaces of its board.

    >>> likened("1,250", "1250"), likened("true", "True"), likened("2 * 3", "2 \u00d7 3") == "2 \u00d7 3"
    ('1250', 'True', True)
    >>> likened("| 1 | 2 |\n\n| 2 | 1 |", "1 2\n2 1"), likened("1,2\n2,1", "1 2\n2 1")
    ('1 2\n2 1', '1 2\n2 1')
    """
    if re.fullmatch(r"\u2212\s*\d[\d,.]*", text):
        text = f"-{text[1:].lstrip()}"
    lines = [line.rstrip() for line in text.splitlines()]
    if BOARD.fullmatch(gold):
        lines = re.sub(r"\]\s*,?\s*\[", "\n", "\n".join(lines)).splitlines()
        lines = [" ".join(re.findall(r"[^\s,|\[\]'\"]+", line)) for line in lines]
        lines = [line for line in lines if line]
    text = "\n".join(lines)
    if re.fullmatch(r"(?:= ?)?[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.0+)?", text) and gold.lstrip("-").isdigit():
        text = re.sub(r"\.0+$", "", text.lstrip("= ").replace(",", ""))
    if re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+\.\d+", text) and "," not in gold:
        text = text.replace(",", "")
    if "\u00d7" in gold:
        text = re.sub(r"\s*(?:\\times|\*)\s*", " \u00d7 ", text)
    return gold if gold.isalpha() and text.lower() == gold.lower() else text


def bare(text: str, question: str) -> str:
    """The number of a text that is one and what the question counts.

    >>> [bare(text, "How many apples?") for text in ("5 apples", "There are 5 apples", "5 pears")]
    ['5', '5', '5 pears']
    """
    if (said := SAID.match(text)) and not said[1]:
        text = text[said.end() :]
    match = re.fullmatch(r"([-+]?[0-9][0-9.,]*)\s+([^\W\d_]{2,})", text)
    if match is None or match[2].lower() in {*HEDGES, *SCALES, "dozen", "half", "times", "no"}:
        return text
    return match[1] if counted(question, match[2]) else text


def _unfit(dataset: str, text: str, gold: str) -> str:
    """What a scorer would overlook, empty where there is nothing."""
    if crossed(text) and not crossed(gold):
        return "struck out or denied by a sign"
    if NO_NUMBER.search(text) and not NO_NUMBER.search(gold):
        return "no number"
    if strange := set(STRANGE.findall(text)) - set(gold):
        return f"the sign {min(strange)}, which no answer has"
    off = _far(text, gold)
    if (off or 0.0) > NEAR or (off is None and dataset in SEARCHING and _far(gold, gold) is not None):
        return "another number"
    if not re.search(r"[\s,;]", gold) and re.search("[,;]", text):
        return "several answers, where there is one"
    if gold.isalpha() and dataset not in SPOKEN and text.lower() != gold.lower():
        return "more than the one word"
    if dataset == SORTED and Counter(_numbers(text)) != Counter(_numbers(gold)):
        return "other numbers"
    if dataset not in SPOKEN and (more := _long(text) - _long(gold)):
        return f"{min(more)!r} more often than in the answer"
    if BOARD.fullmatch(gold) and (other := set(text.split()) - set(gold.split())):
        return f"the cell {min(other)[:20]!r}, which no right board has"
    if dataset in SEARCHING and _words(text) != _words(gold):
        return "other words than those of the answer"
    spoken = re.compile(SPOKEN.get(dataset, ""))
    if strangers := [word for word in _names(text) - _names(gold) if not spoken.fullmatch(word)]:
        return f"the word {min(strangers)[:20]!r}, which no answer has"
    return ""


def _far(text: str, gold: str) -> float | None:
    """How far two numbers are apart, of the right one; None where either is none."""
    try:
        found, right = float(text), float(gold)
    except ValueError:
        return None
    return abs(found - right) / abs(right) if right else float(found != right)


def _numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", text)]


def _long(text: str) -> Counter[str]:
    """Words, each as often as it is there; single letters may be variables of a formula."""
    return Counter(re.findall(r"[^\W\d_]{3,}", OPERATIONS.sub(" ", text.lower())))


def _words(text: str) -> Counter[str]:
    r"""The words of an answer in whatever order, without "and", articles and LaTeX for a fraction.

    >>> _words(r"$\dfrac{1}{2}$") == _words("1/2"), _words("-1/2") == _words("1/2")
    (True, False)
    """
    words = re.findall(r"\w+|-", re.sub(r"\\[dt]?frac", " ", text.lower()))
    return Counter(word for word in words if word not in ("a", "an", "and"))


def _names(text: str) -> set[str]:
    r"""The words of letters in an answer, without exponents and LaTeX for operations.

    >>> sorted(_names(r"3 \times 10, 1e5 is wrong"))
    ['is', 'wrong']
    """
    return set(re.findall(r"[^\W\d_]+", OPERATIONS.sub(" ", text.lower())))


def looks_like_code(text: str) -> bool:
    """Whether evaluating a text could do more than arithmetic, or take for ever.

    >>> [looks_like_code(one) for one in ("(3 + 4) * sqrt(2)", "['a', 'b']", "open('x')", "[f][0](1)", "x.y")]
    [False, False, True, True, True]
    >>> looks_like_code("9**9**9"), looks_like_code("x**2 + 3*x")
    (True, False)
    """
    return bool(CODE.search(text) or TOWER.search(text)) or not harmless(text)


def harmless(text: str) -> bool:
    r"""Whether evaluating a text computes with numbers, names and lists and does nothing else.

    Names are bound by nothing in it, so that the functions that it may call are what they seem.

    >>> [harmless(one) for one in ("2*sqrt(x) + 3!", "[[1, 0], ['a']]", "[abs := eval, abs('x')]")]
    [True, True, False]
    >>> harmless("[abs('x') for abs in [eval]]"), harmless("0 1\n1 0")
    (False, True)
    """
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        # No Python as it stands; sympy also reads factorials.
        words = re.findall(r"[^\W\d]\w*", text)
        called = (match[1] for match in CALL.finditer(text))
        return not (
            re.search(r"[:'\"`\[\]{}@\\]", text)
            or any(keyword.iskeyword(word) for word in words)
            or any(name is None or not _callable(name) for name in called)
        )
    return all(isinstance(node, COMPUTES) and _called(node) for node in ast.walk(tree))


COMPUTES = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Constant),
    *(ast.Name, ast.Load, ast.List, ast.Tuple, ast.Call, ast.Compare, ast.cmpop),
)


def _called(node: ast.AST) -> bool:
    """Whether a node calls nothing, or what may be called."""
    if not isinstance(node, ast.Call):
        return True
    called = node.func
    # `2(3)` is a product to a person, and fails in Python.
    known = (isinstance(called, ast.Name) and called.id in FUNCTIONS) or (
        isinstance(called, ast.Constant) and isinstance(called.value, int)
    )
    return known and not node.keywords


def _callable(name: str) -> bool:
    return name.isdigit() or name in FUNCTIONS


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@cache
def _scorer(dataset: str) -> tuple[Any, bool]:
    """The scorer of a dataset, and whether it evaluates answers."""
    import inspect

    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    source = inspect.getsource(inspect.getmodule(DATASETS[dataset][0]))  # type: ignore[arg-type]
    return reasoning_gym.get_score_answer_fn(dataset), re.search(
        r"\b(?:eval|parse_expr)\(", source
    ) is not None


def scored(dataset: str, entry: dict[str, Any], answer: str) -> float | None:
    """The score; None for an answer that is not shown to the scorer. Called in the bounded process."""
    scorer, evaluates = _scorer(dataset)
    if evaluates:
        # Truth may come from whoever sends an answer.
        for text in _texts([entry.get("answer"), entry.get("metadata")]):
            if "(" in text and not harmless(text):
                raise ValueError(f"the entry holds code: {text[:60]!r}")
        if looks_like_code(answer):
            return None
    try:
        return float(scorer(answer, entry))
    except MemoryError:
        raise
    except Exception:
        # Some scorers raise on what they cannot read: no answer, where they can read the gold one.
        scorer(entry["answer"], entry)
        return 0.0


def prepare() -> None:
    """Import what takes longer than an answer may."""
    import reasoning_gym  # noqa: F401


scored.prepare = prepare  # type: ignore[attr-defined]
