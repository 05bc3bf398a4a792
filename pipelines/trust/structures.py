"""Labelled answers with a structure: JSON, tables, pages, formulas, grids, positions, molecules, puzzles."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.pipelines.trust.words import TEXTS, WORDS, blotted

PRECISE = frozenset({"look-alikes"})
"""Where a full-width digit is that digit, and letters count one by one."""


def fields(dice: random.Random) -> Iterator[Labelled]:
    """`reward/json`."""
    for _ in range(16):
        names = dice.sample(WORDS, 4)
        items: list[dict[str, Any]] = [
            {"name": name, "price": dice.randint(100, 999) / 100} for name in names
        ]
        gold = {"shop": names[0].title(), "year": 2019, "paid": True, "items": items, "note": None}
        off: dict[str, Any] = {"shop": "Zed", "year": 2018, "paid": False, "note": "x"}
        chain = [gold | dict(list(off.items())[:n]) for n in range(5)]
        chain += [chain[-1] | {"items": items[:n]} for n in (3, 2, 1)]
        doubled = json.dumps(gold)[:-1] + ', "shop": "other"}'
        yield Labelled(
            {"use": "reward/json", "relative": 0.01},
            json.dumps(gold),
            right=(
                json.dumps(gold, indent=2),
                f"```json\n{json.dumps(gold)}\n```",
                json.dumps(dict(reversed(gold.items()))),
                json.dumps(gold | {"shop": names[0].upper()}),
                f"Here it is:\n```json\n{json.dumps(gold)}\n```",
                json.dumps(gold | {"items": [item | {"price": item["price"] * 1.004} for item in items]}),
            ),
            wrong=(
                "{}",
                "[]",
                json.dumps(off | {"items": []}),
                json.dumps({"a": gold}),
                json.dumps([gold]),
                json.dumps({"shop": gold["shop"]}),
                json.dumps(list(gold.values())),
                str(gold),
            ),
            attacks={
                "keys twice": doubled,
                "NaN field": json.dumps(off | {"year": float("nan")}),
                "fields of everything": json.dumps({word: word for word in WORDS * 50}),
                "many items": json.dumps(gold | {"items": items * 2000}),
            },
            partial=PRECISE,
            worse=tuple(map(json.dumps, chain)),
        )


def markup(rows: list[list[str]], cell: str = "td") -> str:
    """An HTML table."""
    lines = ("".join(f"<{cell}>{text}</{cell}>" for text in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def table(dice: random.Random) -> Iterator[Labelled]:
    """`reward/table`."""
    for _ in range(16):
        rows = [dice.sample(WORDS, 3), *([str(dice.randint(10, 99)) for _ in range(3)] for _ in range(4))]
        gold = markup(rows)
        blotted_rows = [[["#"] * 3] * n + rows[n:] for n in range(6)]
        shorter = [rows[:n] for n in (5, 4, 3, 2, 1)]
        bomb = markup([["x"] * 40] * 100)
        yield Labelled(
            {"use": "reward/table"},
            gold,
            right=(
                gold.replace("<tr>", "\n <tr>"),
                f"```html\n{gold}\n```",
                f"<html><body>{gold}</body></html>",
                gold.replace("td>", "th>", 6),
                gold.replace("<td>", "<td style='color:red'>").replace("</tr>", "</TR>"),
                gold.replace(rows[0][0], f"<b>{rows[0][0]}</b>"),
                gold.replace("<table>", "<table border=1><tbody>"),
            ),
            wrong=(
                "<table></table>",
                gold + gold,
                json.dumps(rows),
                markup([["#"]]),
                "<td>a</td>",
                bomb,
                markup([["#"] * 9] * 30),
            ),
            attacks={
                "scripts in a table": "<table><script>alert(1)</script><tr><td onclick=x>1</td></tr></table>",
                "spans": "<table><tr><td colspan=99999999999 rowspan=-1>x</td></tr></table>",
                "nested tables": "<table><tr><td>" * 2000,
                "many cells": "<table>" + "<tr><td>1</td></tr>" * 4000,
                "entities": "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" + markup([["&b;"]]),
                "in a comment": f"<!-- {gold} --><table></table>",
                "in a script": f"<script>{gold}</script>",
                "table in a template": f"<template>{gold}</template>",
            },
            partial=PRECISE,
            worse=tuple(map(markup, blotted_rows if dice.random() < 0.5 else shorter)),
        )


def grid(dice: random.Random) -> Iterator[Labelled]:
    """`reward/grid`, whole and by its cells."""
    for turn in range(20):
        side = dice.randint(3, 6)
        rows = [[dice.randint(1, 9) for _ in range(side)] for _ in range(side)]
        text = "\n".join(" ".join(map(str, row)) for row in rows)
        chain = [[[0] * side] * n + rows[n:] for n in range(side + 1)]
        yield Labelled(
            {"use": "reward/grid", "whole": turn % 2 == 0},
            text,
            right=(
                json.dumps(rows),
                text.replace(" ", ""),
                f"```\n{text}\n```",
                text.replace(" ", ", "),
                f"\n{text}\n",
            ),
            wrong=(
                json.dumps([[0] * side] * side),
                text + "\n" + text.split("\n")[0],
                "0",
                json.dumps(rows[:-1]),
                json.dumps([[*row, 1] for row in rows]),
                json.dumps([[str(cell) for cell in row] for row in rows]),
            ),
            attacks={
                "huge": json.dumps([[1] * 300] * 300)[:90_000],
                "cells of all": json.dumps([[[1, 2, 3]] * side] * side),
            },
            fair=PRECISE,
            worse=tuple(map(json.dumps, chain)),
        )


def page(dice: random.Random) -> Iterator[Labelled]:
    """`reward/markdown`."""
    for _ in range(16):
        words = dice.sample(WORDS, 12)
        body = f"The {words[0]} stands by the {words[1]}. A {words[2]} is near the {words[3]}."
        rows = [words[4:6], ["12", "34"], ["56", "78"]]
        piped = f"| {rows[0][0]} | {rows[0][1]} |\n| --- | --- |\n| 12 | 34 |\n| 56 | 78 |"
        gold = f"# {words[6].title()} and {words[7]}\n\n{body}\n\n- {words[8]}\n- {words[9]}\n\n"
        gold += f"{piped}\n\n## {words[10]}\n\nDone by {words[11]}."
        yield Labelled(
            {"use": "reward/markdown"},
            gold,
            right=(
                gold + "\n",
                f"```markdown\n{gold}\n```",
                gold.replace("\n- ", "\n* "),
                gold.replace(". A", ".\nA"),
                gold.replace(piped, markup(rows)),
                gold.replace(" --- ", ":---:"),
                gold.replace("stands", "*stands*"),
            ),
            wrong=(words[0], "# Title", "\n\n".join(f"- {word}" for word in WORDS[:3]), markup(rows[:1])),
            attacks={
                "nested quotes": ">" * 20_000,
                "brackets": "[" * 20_000,
                "stars": "*a_" * 10_000,
                "pipes": "|" * 20_000,
                "many tables": (piped + "\n\n") * 300,
            },
            partial=TEXTS | {"megabyte of gold"},
            worse=tuple(gold[: len(gold) * keep // 6] if keep < 6 else gold for keep in range(6, -1, -1)),
        )


def formula(dice: random.Random) -> Iterator[Labelled]:
    """`reward/latex`."""
    cases = {
        r"\frac{a}{b} + x^{2}": (
            [r"\dfrac ab+x^2", r"\frac{a}{b}+x^2", r"{\frac{a}{b}} + {x}^{2}"],
            [r"x^2 + \frac{a}{b}", r"\frac{b}{a}+x^2"],
        ),
        r"\int_{0}^{1} x \, dx": (
            [r"\int_0^1 x dx", r"\int^1_0 x\,dx"],
            [r"\frac{1}{2}", r"\int_1^0 x dx", "1/2"],
        ),
        r"\sum_{i=1}^{n} i": (
            [r"\sum_{i = 1}^n i", r"\sum^{n}_{i=1} i"],
            [r"\frac{n(n+1)}{2}", r"\sum_{i=1}^{m} i"],
        ),
        r"\sqrt{x+1} \leq y": (
            [r"\sqrt{x+1} \le y", r"\sqrt {x + 1}\leq y"],
            [r"\sqrt{x}+1 \leq y", r"\sqrt{x+1} \geq y"],
        ),
        r"\alpha \to \beta": ([r"\alpha\rightarrow\beta"], [r"\beta \to \alpha", r"a \to b"]),
        r"\left( x + y \right)^{2}": ([r"(x+y)^2", r"\left(x+y\right)^2"], ["x^2+2xy+y^2", "(y+x)^2"]),
        r"E = mc^{2}": ([r"E=mc^2", r"{E} = m c^2"], ["m = E/c^2", "E = m^2 c", "mc^2"]),
        r"\mathbf{v} \cdot \mathbf{w}": (
            [r"\mathbf{v}\cdot\mathbf{w}"],
            [r"v \cdot w", r"\mathbf{w} \cdot \mathbf{v}"],
        ),
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}": (
            [r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"],
            [r"\begin{pmatrix}1&2\\4&3\end{pmatrix}"],
        ),
        r"x_{1}^{2} + x_{2}^{2}": ([r"x_1^2+x_2^2", r"x^2_1 + x^2_2"], [r"x_1^2+x_1^2", r"x_2^2+x_1^2"]),
    }
    for whole in (True, False):
        for gold, (right, wrong) in cases.items():
            forms = (
                *right,
                f"${gold}$",
                f"$${gold}$$",
                rf"\[{gold}\]",
                rf"\({gold}\)",
                f"```latex\n{gold}\n```",
                f"  {gold} ",
            )
            yield Labelled(
                {"use": "reward/latex", "whole": whole},
                gold,
                right=forms,
                wrong=tuple(wrong) if whole else ("q", r"\zeta", "0000"),
                attacks={
                    "whole and more": f"{gold} \\text{{ or }} {wrong[0]}",
                    "braces": "{" * 1500 + "}" * 1500,
                    "scripts of scripts": "x^{" * 400 + "y" + "}" * 400,
                    "input": r"\input{/etc/passwd}",
                },
                partial=TEXTS | {"whole and more"},
                worse=(
                    gold,
                    *([gold[: len(gold) // 2], ""] if whole else blotted(gold.replace(" ", ""), dice)),
                ),
            )


def position(dice: random.Random) -> Iterator[Labelled]:
    """`reward/fen`."""
    cases = [
        "8/8/8/4k3/8/8/4P3/4K3",
        "r1bqkbnr/pppp1ppp/2n5/4p3/4P3/5N2/PPPP1PPP/RNBQKB1R",
        "8/5k2/3p4/1p1Pp2p/pP2Pp1P/P4P1K/8/8",
        "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR",
        "2r3k1/5pp1/p6p/8/8/1P3P2/P5PP/2R3K1",
    ]
    for whole in (True, False):
        for gold in cases:
            ranks = gold.split("/")
            chain = ["/".join(["8"] * n + ranks[n:]) for n in range(9)]
            yield Labelled(
                {"use": "reward/fen", "whole": whole},
                gold,
                right=(
                    f"{gold} w - - 0 1",
                    f"{gold} b KQkq e3 12 40",
                    f" {gold}\n",
                    f"`{gold}`",
                    f"{gold} w",
                ),
                wrong=(
                    "8/8/8/8/8/8/8/8",
                    "/".join(["qqqqqqqq"] * 8),
                    gold.swapcase(),
                    "/".join(ranks[:7]),
                    f"{gold}/8",
                    gold.replace("8", "9", 1) if "8" in gold else gold.replace("k", "x"),
                    "no pieces",
                ),
                attacks={"wide rank": "/".join(["99999999"] * 8), "every piece": "/".join(["KQRBNPkq"] * 8)},
                fair=PRECISE,
                worse=tuple(chain),
            )


def molecule(dice: random.Random) -> Iterator[Labelled]:
    """`reward/smiles`."""
    cases = {
        "CCO": (["OCC", "C(O)C", "[CH3][CH2][OH]"], ["CO", "CCN", "CCCO", "C.C.O"]),
        "c1ccccc1": (["C1=CC=CC=C1", "c1ccccc1"], ["C1CCCCC1", "c1ccncc1"]),
        "CC(=O)O": (["OC(C)=O", "O=C(O)C"], ["CC(=O)C", "CCO", "CC(=O)[O-]"]),
        "CC(=O)Oc1ccccc1C(=O)O": (
            ["O=C(C)Oc1ccccc1C(O)=O", "OC(=O)c1ccccc1OC(C)=O"],
            ["CC(=O)Oc1ccccc1", "c1ccccc1C(=O)O"],
        ),
        "C[C@H](N)C(=O)O": (["N[C@@H](C)C(=O)O", "OC(=O)[C@H](C)N"], ["C[C@@H](N)C(=O)O", "CC(N)C(=O)O"]),
        "CN1C=NC2=C1C(=O)N(C(=O)N2C)C": (["Cn1c(=O)c2c(ncn2C)n(C)c1=O"], ["CN1C=NC2=C1C(=O)NC(=O)N2C"]),
        "C/C=C/C": (["C\\C=C\\C"], ["C/C=C\\C", "CC=CC", "CCCC"]),
    }
    for gold, (right, wrong) in cases.items():
        yield Labelled(
            {"use": "reward/smiles"},
            gold,
            right=(*right, f" {gold} ", f"`{gold}`"),
            wrong=(*wrong, "ethanol", f"{gold}.O", "C", "*", f"{gold} or C", "not" + gold),
            attacks={
                "mixture": ".".join(cases),
                "open rings": "C1CC" * 200,
                "long": "C" * 5_000,
                "brackets": "C(" * 300 + ")" * 300,
                "wildcards": "*~*",
                "query": "[#6]~[#6]",
            },
            fair=PRECISE | {"turned writing"},  # a chain read from its other end
            worse=(gold, wrong[0], ""),
        )


def puzzle(dice: random.Random) -> Iterator[Labelled]:
    """`reward/puzzle`, over scorers that compare, that evaluate and that follow rules."""
    import reasoning_gym

    for name in (
        "countdown",
        "simple_equations",
        "number_sorting",
        "spiral_matrix",
        "binary_matrix",
        "polynomial_multiplication",
        "string_insertion",
        "mini_sudoku",
        "leg_counting",
        "syllogism",
    ):
        for index in range(3):
            entry = json.loads(
                json.dumps(reasoning_gym.create_dataset(name, size=3, seed=5)[index], default=str)
            )
            gold = entry["metadata"].get("expression") if name == "countdown" else entry["answer"]
            yield Labelled(
                {"use": "reward/puzzle", "seconds": 1.0},
                str(gold),
                {"dataset": name, "entry": entry},
                right=(f"{gold} ", f"\n{gold}"),
                wrong=("0123", "I do not know", "x", "()", str(gold)[:-1] + "~"),
                attacks={
                    "file": "open('/tmp/trust', 'w')",
                    "attribute": "().__class__.__base__",
                    "lambda": "(lambda: 42)()",
                    "tower of sums": "+".join(["9**9**9"] * 3),
                    "type": "type('x', (), {})()",
                },
                fair=PRECISE,
                attacked=index == 0,
                worse=(str(gold), "~"),
            )
