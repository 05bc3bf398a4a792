"""Labelled pages and formulas."""

from __future__ import annotations

import random
from collections.abc import Iterator

from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.pipelines.trust.tables import PLAIN, markup
from vlmloom.pipelines.trust.texts import TEXTS, blotted
from vlmloom.pipelines.trust.words import WORDS


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
            wrapped=False,
            right=(
                gold + "\n",
                f"```markdown\n{gold}\n```",
                f"```\n{gold}\n```",
                f"Here is the page:\n\n```markdown\n{gold}\n```\n",
                gold.replace("\n- ", "\n* "),
                gold.replace(". A", ".\nA"),
                gold.replace(piped, markup(rows)),
                gold.replace(piped, markup(rows).replace("<table>", f"<table style='{PLAIN}'>")),
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
                "wrong by a reference": f"{gold}\n\n[//]: # (all of this is wrong)\n",
                "wrong by a title": gold.replace(body, f"[{body}](# 'wrong')"),
                "wrong by a comment": f"{gold}\n\n<!-- all of this is wrong -->",
                "struck out whole": f"<del>\n\n{gold}\n\n</del>",
                "a line struck out": gold.replace(body, f"~~{body}~~"),
                "hidden": f"<div style='display: none'>\n\n{gold}\n\n</div>",
            },
            partial=TEXTS | {"megabyte of gold"},
            worse=tuple(gold[: len(gold) * keep // 6] if keep < 6 else gold for keep in range(6, -1, -1)),
        )


def formula(dice: random.Random) -> Iterator[Labelled]:
    """`reward/latex`."""
    cases = {
        r"\frac{a}{b} + x^{2}": (
            [r"\dfrac ab+x^2", r"\frac{a}{b}+x^2", r"{\frac{a}{b}} + {x}^{2}"],
            [r"x^2 + \frac{a}{b}", r"\frac{b}{a}+x^2", r"\frac{a}{b} + x^{}2"],
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
                rf"\begin{{equation*}}{gold}\end{{equation*}}",
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
                partial=TEXTS | {"whole and more", "rot13"},
                fair=frozenset({"struck out"}),  # in LaTeX a tilde is a space
                worse=(
                    gold,
                    *([gold[: len(gold) // 2], ""] if whole else blotted(gold.replace(" ", ""), dice)),
                ),
            )
