"""Algebra in words: gold answers are what sympy finds, equal forms are right, the question is no answer."""

import re
from collections import Counter
from itertools import pairwise

import pytest

from vlmloom.components.task.boxed import Boxed, boxed
from vlmloom.components.task.reasoning.text_algebra import KINDS, SHIFTED, TextAlgebra
from vlmloom.components.task.suite import Nano

pytest.importorskip("math_verify")
SPLITS = ("train", "validation", "test", "shift")


@pytest.fixture(scope="module")
def task():
    return TextAlgebra(world=Nano(shift=[]).world)


def parsed(text):
    from sympy.parsing.sympy_parser import (
        convert_xor,
        implicit_multiplication,
        parse_expr,
        standard_transformations,
    )

    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(\1/\2)", text).replace("{", "(").replace("}", ")")
    text = re.sub(r"\\(sin|cos)", r"\1", text).replace("e^", "E^")
    return parse_expr(
        text, transformations=(*standard_transformations, implicit_multiplication, convert_xor), evaluate=True
    )


def solved(question):
    """What sympy makes of a question, from its words alone."""
    import sympy

    maths = re.findall(r"\$(.+?)\$", question)
    x, y, t = sympy.symbols("x y t")
    if "derivative" in question or "Differentiate" in question:
        letter = t if "t" in maths[0].replace("sin", "") else x
        return sympy.diff(parsed(maths[0].rpartition("= ")[2]), letter)
    if found := re.match(r"\\int_\{(-?\d+)\}\^\{(-?\d+)\} \((.*)\) \\, dx", maths[0]):
        return sympy.integrate(parsed(found[3]), (x, int(found[1]), int(found[2])))
    if "real solutions" in question:
        letter = t if "t" in maths[0] else x
        return set(sympy.solve(parsed(maths[0].partition(" = ")[0]), letter))
    if "For which real" in question:
        left, sign = re.fullmatch(r"(.*) (<|>|\\le|\\ge) 0", maths[1]).groups()
        rel = {"<": sympy.Lt, ">": sympy.Gt, "\\le": sympy.Le, "\\ge": sympy.Ge}[sign]
        return rel(parsed(left), 0).as_set()
    if question.startswith("Solve") and " and " in question:
        rows = [sympy.Eq(*map(parsed, one.split(" = "))) for one in maths[:2]]
        found = sympy.solve(rows, [x, y])
        return found[x], found[y]
    if question.startswith("Solve"):
        return sympy.solve(sympy.Eq(*map(parsed, maths[0].split(" = "))), x)[0]
    return parsed(maths[0])


def read(answer):
    """A gold answer as sympy has it."""
    import sympy

    if answer.startswith("\\{"):
        return {sympy.Integer(one) for one in re.findall(r"-?\d+", answer)}
    if "\\cup" in answer or answer.startswith("["):
        ends = [
            sympy.Interval(
                *(-sympy.oo if "-\\inf" in one else sympy.oo if "inf" in one else int(one) for one in (a, b)),
                left == "(",
                right == ")",
            )
            for left, a, b, right in re.findall(r"([\[(])([^,]+), ([^\])]+)([\])])", answer)
        ]
        return sympy.Union(*ends)
    return answer


@pytest.mark.parametrize("split", SPLITS)
def test_gold_is_what_sympy_finds(task, split):
    import sympy

    for index in range(60):
        sample = task.plan(split, index)
        right, gold = solved(sample.prompt[-1]), read(sample.answer)
        if isinstance(right, tuple):
            assert gold == f"({right[0]}, {right[1]})"
        elif isinstance(gold, str) and isinstance(right, sympy.Interval):
            assert gold == f"({right.start}, {right.end})" and right.left_open and right.right_open
        elif isinstance(gold, str):
            assert sympy.simplify(parsed(gold.removeprefix("x = ")) - right) == 0, (sample.prompt[-1], gold)
        else:
            assert gold == right, sample.prompt[-1]


def test_gold_is_one_over_two_hundred_and_another_items_is_not(task):
    samples = [task.plan("test", index) for index in range(200)]
    assert {task.check(sample, sample.answer).value for sample in samples} == {1.0}
    others = [task.check(one, two.answer).value for one, two in pairwise(samples)]
    assert None not in others and sum(others) / len(others) < 0.05
    assert max(Counter(sample.answer for sample in samples).values()) <= 10


@pytest.mark.parametrize("split", ["train", "shift"])
def test_neither_the_question_nor_a_sign_turned_is_right(task, split):
    for index in range(40):
        sample = task.plan(split, index)
        for said in re.findall(r"\$(.+?)\$", sample.prompt[-1]):
            assert task.check(sample, said).value == 0, (sample.prompt[-1], said)
            if "derivative" in sample.prompt[-1] or "Differentiate" in sample.prompt[-1]:
                for letter in "xt":
                    undone = f"\\frac{{d}}{{d{letter}}} ({said.rpartition('= ')[2]})"
                    assert task.check(sample, undone).value == 0, undone
        turned = sample.answer.replace("1", "7") if "1" in sample.answer else f"{sample.answer} + 1"
        assert task.check(sample, turned).value == 0, (sample.answer, turned)


@pytest.mark.parametrize(
    ("start", "form"),
    [
        ("What are the real", lambda gold: ", ".join(reversed(re.findall(r"-?\d+", gold)))),
        ("Solve", lambda gold: f"${gold.removeprefix('x = ')}$".replace(" ", "")),
        ("Differentiate", lambda gold: f"7 - 7 + {gold}".replace(" x", "*x")),
    ],
)
def test_equal_forms_are_right(task, start, form):
    seen = 0
    for index in range(120):
        sample = task.plan("train", index)
        if sample.prompt[-1].startswith(start):
            seen += 1
            assert task.check(sample, form(sample.answer)).value == 1, (sample.answer, form(sample.answer))
    assert seen > 5


def test_the_published_format_goes_before(task):
    wrapped = Boxed(task)
    sample = wrapped.plan("test", 3)
    assert wrapped.check(sample, sample.answer).value == 1
    bare = task.plan("test", 3).answer
    twice = boxed(f"{bare}<|end_of_box|><|begin_of_box|>{bare}")
    for wrong in (bare, twice, sample.answer.removeprefix("<think></think>"), f"\\boxed{{{bare}}}"):
        assert wrapped.check(sample, wrong).value == 0, wrong


def test_every_kind_comes_and_a_level_makes_numbers_larger(task):
    assert len({task.plan("train", index).scene.key for index in range(1100)}) >= 1000
    starts = {re.match(r"\w+ ?\w*", task.plan("train", index).prompt[-1])[0] for index in range(200)}
    assert len(starts) >= 5 and not set(KINDS) & set(SHIFTED)
    sizes = []
    for level in (0, 4):
        harder = TextAlgebra(world=task.world, level=level)
        said = " ".join(harder.plan("train", index).prompt[-1] for index in range(200))
        sizes.append(sum(map(int, re.findall(r"\d{1,4}", said))))
    assert sizes[1] > 1.5 * sizes[0]
