"""Labelled answers in numbers: counts, amounts, times, mathematics."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from vlmloom.pipelines.trust.attacks import DIGITS
from vlmloom.pipelines.trust.labelled import Labelled

UNITS = (
    (
        "\u00b0C",
        ("{}\u00b0C", "{} degrees", "{}\u00b0", "{} degrees Celsius"),
        ("{} \u00b0F", "{} K", "{} F"),
    ),
    (
        "\u00b0",
        ("{} degrees", "{}\u00b0", r"{}^\circ", r"${}^{{\circ}}$", "{} Grad", "The angle is {}\u00b0."),
        ("{} \u00b0C", "{} rad", "{}%"),
    ),
    ("in", ('{}"', "{} in", "{} inches", "{}\u2033"), ("{}'", "{} cm", "{} feet")),
    ("ft", ("{}'", "{} ft", "{} feet", r"${}\,\text{{ft}}$"), ('{}"', "{} m")),
    ("km/h", ("{} km / h", "{}km/h", "{} km per hour", "{} kph"), ("{} mph", "{} m/s", "{} km", "{} h")),
    (
        "cm\u00b2",
        ("{} cm^2", "{} square cm", "{} cm2", "{} square centimetres"),
        ("{} cm", "{} cm^3", "{} m^2"),
    ),
    ("", ("{} square units", "{} units"), ("{} cm", "{} square cm", "{}%")),
)
"""A unit, how it may be said, and other units."""


NUMERALS = (
    ("en", ("two", "Two.", "There are two.", "**Two**"), ("three", "twelve", "minus two", "dos", "zwei")),
    ("de", ("zwei", "Zwei.", "Es sind zwei.", "two"), ("drei", "zweihundert", "zwölf", "nicht zwei")),
    ("es", ("dos", "Hay dos.", "Dos", "two"), ("tres", "doscientos", "dos o tres", "doce")),
    ("zh", ("两", "两个", "2个", "二", "有两个。"), ("三个", "十二", "两百", "不是两个", "两三个")),
)
"""Two in words: the language, right and wrong answers."""


def number(dice: random.Random) -> Iterator[Labelled]:
    """`reward/number`: counts, decimals, amounts with units, tolerances, years."""
    for _ in range(12):
        gold = dice.randint(3, 99)
        yield Labelled(
            {"use": "reward/number"},
            str(gold),
            right=(
                f"{gold}.",
                f"{gold}.0",
                f" {gold} ",
                f"**{gold}**",
                f"+{gold}",
                f"The answer is {gold}.",
                f"= {gold}",
                f"There are {gold}.",
                f"The value is {gold}.",
                f"There are **{gold}** in the image.",
                f"There are {gold} in total.",
                f"I count {gold}.",
                f"${gold}$",
                str(gold).translate({48 + d: 0xFF10 + d for d in range(10)}),
            ),
            wrong=(
                *(f"{gold} in the picture{sign}" for sign in ("?", " ✗", " ≠")),
                *(f"The {what} is {gold}" for what in ("number of wrong answers", "value of another")),
                str(gold + 1),
                f"-{gold}",
                f"{gold}0",
                f"{gold} or {gold + 1}",
                f"{gold}-{gold + 2}",
                f"between {gold - 1} and {gold + 1}",
                f"{gold}%%",
                f"{gold} million",
                f"more than {gold}",
                f"{gold} ± 1",
                f"about {gold} or more",
                f"1/{gold}",
                f"0x{gold}",
                f"{gold}e3",
                f"not {gold}",
                *(f"{gold} {word}" for word in ("wrong", "isnt", "dozen", "half", "hundredths", "dogs")),
                *(f"{sign}{gold}" for sign in (">", "<", "≥", "~", "√")),
                f"{2 * gold}/2",
            ),
            fair=DIGITS,
            worse=(str(gold), str(gold + 1), str(gold + 50)),
        )
    for language, right, wrong in NUMERALS:
        yield Labelled(
            {"use": "reward/number"},
            "2",
            {"language": language},
            right=right,
            wrong=(*wrong, "one or two", "two-thirds", "two dozen", "two hundred", "no two", "twofold"),
            fair=DIGITS,
            worse=(right[0], wrong[0]),
        )
    for _ in range(6):
        gold = dice.randint(1100, 990_000) * 10
        yield Labelled(
            {"use": "reward/number", "relative": 0.05},
            f"{gold} kg",
            right=(
                f"{gold:,}",
                f"{gold:,} kg",
                f"{gold / 1e3:g}e3 kg",
                f"{gold * 1.04:.0f}",
                f"{gold * 0.96:.0f} KG",
                f"about {gold:,} kg",
                f"\u2248 {gold}",
                f"{gold / 1e3:g} thousand kg",
                f"{gold:,}".replace(",", " "),
            ),
            wrong=(
                f"{gold * 1.06:.0f}",
                f"{gold * 0.94:.0f}",
                f"{gold} m",
                f"{gold} pounds",
                f"{gold}-{gold + 1}",
            ),
            fair=DIGITS,
            worse=(f"{gold}", f"{gold * 1.07:.0f}", f"{gold * 2}"),
        )
    for unit, same, others in UNITS:
        gold = dice.randint(11, 89)
        yield Labelled(
            {"use": "reward/number"},
            str(gold),
            {"unit": unit} if unit else {},
            right=tuple(form.format(gold) for form in ("{}", "**{}**", "{}.", *same)),
            wrong=(*(form.format(gold) for form in others), f"not {gold}", f"{gold}?", f"{gold} or 7"),
            fair=DIGITS,
            attacked=unit == "in",
        )
    yield Labelled(
        {"use": "reward/number", "relative": 0.05},
        "3210",
        {"of": "mean weight in lbs"},
        right=("3,210 lbs", "3210 lb", "3,210"),
        wrong=("3,210 miles", "3,210 in", "3,210 dozen", "3,210 not lbs", "4,210 lbs"),
        fair=DIGITS,
        attacked=False,
    )
    for year in (1987, 2003, 2024):
        yield Labelled(
            {"use": "reward/number", "relative": 0.05},
            str(year),
            right=(f"{year}.", f"in {year}", f"{year} AD", f"{year}\u5e74", f"The year is {year}."),
            wrong=(str(year + 1), str(year - 1), f"{year}.5", f"{year - 1}-{year + 1}"),
            fair=DIGITS,
            worse=(str(year), str(year + 1)),
        )


def clock_time(dice: random.Random) -> Iterator[Labelled]:
    """`reward/clock_time`."""
    for _ in range(16):
        hour, minute = dice.randint(1, 9), dice.randint(10, 58)
        gold = f"{hour}:{minute}"
        yield Labelled(
            {"use": "reward/clock_time"},
            gold,
            right=(
                f"0{gold}",
                f" {gold}.",
                f"**{gold}**",
                f"{hour}.{minute}",
                f"The answer is {gold}.",
                f"It is {gold}.",
                f"{gold} PM",
                f"Es ist {gold} Uhr.",
                f"The clock shows **{gold}**.",
                f"{hour}\u70b9{minute}\u5206",
            ),
            wrong=(
                f"{hour}:{minute + 1}",
                f"{hour % 12 + 1}:{minute}",
                f"{hour + 12}:{minute}",
                f"{hour}:{minute} or {hour}:{minute + 1}",
                f"{hour}{minute}",
                f"-{gold}",
                f"not {gold}",
                f"after {gold}",
                f"{minute}:{hour}",
            ),
            fair=DIGITS,
            worse=(gold, f"{hour}:{minute + 1}"),
        )


def mathematics(dice: random.Random) -> Iterator[Labelled]:
    """`reward/math`: numbers, expressions, equations, sets, intervals, matrices."""
    node = {"use": "reward/math", "seconds": 1.0}
    for turn in range(6):
        above, below = dice.randint(1, 6), dice.choice((7, 11, 13))
        low = Fraction(above, below)
        yield Labelled(
            node,
            rf"\frac{{{above}}}{{{below}}}",
            right=(
                f"{above}/{below}",
                rf"$\frac{{{above}}}{{{below}}}$",
                rf"\dfrac{{{above}}}{{{below}}}",
                rf"\boxed{{\frac{{{2 * above}}}{{{2 * below}}}}}",
                f"{float(low):.9f}",
            ),
            wrong=(
                f"{below}/{above + 20}",
                f"{above}",
                rf"\frac{{{above + 1}}}{{{below}}}",
                f"x > {above}/{below}",
                f"x = {above}/{below}",
                f"[{above}, {below}]",
                f"{float(low):.2f}",
                rf"\{{{above}, {below}\}}",
                "x",
                r"\mathbb{R}",
            ),
            fair=DIGITS,
            attacked=turn == 0,
            worse=(f"{above}/{below}", f"{above + 1}/{below}", "x"),
        )
    cases = {
        "(x+1)^2": (
            [
                *("x^2+2x+1", "$x^2 + 2x + 1$", "(1+x)^2", "(x+1)(x+1)", "x**2 + 2*x + 1"),
                *("f'(x) = x^2+2x+1", "$y' = x^2 + 2x + 1$", r"\frac{dy}{dx} = (x+1)^2"),
            ],
            [
                *("x^2+1", "x+1", "(x-1)^2", "y = (x+1)^2", "f'(x) = x^2"),
                *(
                    rf"(x+1)^2\{word}"
                    for word in ("text{ + 3}", "textrm{wrong}", "mathit{not}", "mbox{?}", "ldots")
                ),
                *(
                    "(x+1)^2'",
                    "(x+1)^2_{2}",
                    r"x^2 \\ (x+1)^2",
                    "(x+1)^2 e 9",
                    r"(x+1)^2 \mod 7",
                    "(x+1)^2 ≃ 7",
                ),
                *(r"7 \fbox (x+1)^2", r"7 \boxed (x+1)^2", r"(x+1)^2\mathrm{7}", "(x+1)^2$ 7"),
            ],
        ),
        r"2\sqrt{3}": (
            ["2sqrt(3)", "2*sqrt(3)", r"\sqrt{12}", r"$2\sqrt 3$"],
            [r"\sqrt{6}", "3.46", r"3\sqrt{2}", "2"],
        ),
        r"\pi r^2": ([r"r^2\pi", "pi*r^2", r"$\pi \cdot r^{2}$"], [r"2\pi r", r"\pi r", r"\pi"]),
        r"\{1, 2\}": (
            [r"\{2, 1\}", r"$\{1,2\}$", "The solutions are 1 and 2.", "The solution set is $\\{1, 2\\}$."],
            ["1", r"\{1\}", r"\{1,2,3\}", "[1,2]", r"1 \text{ or } 3"],
        ),
        "[0, 1]": (
            ["$[0,1]$", "0 <= x <= 1", "x \\in [0, 1]"],
            ["(0,1)", "[0,2]", "0", r"\mathbb{R}", "0 < x < 1"],
        ),
        r"(-\infty, -3) \cup (4, \infty)": (
            [
                "(-∞,-3) \u222a (4,∞)",
                "(-inf, -3) U (4, inf)",
                "x < -3 or x > 4",
                "$x < -3$ or $x > 4$",
                r"(4,\infty)\cup(-\infty,-3)",
            ],
            [
                "(-∞,-3) \u222a (4,9)",
                "(-∞,-3] \u222a (4,∞)",
                "(4,∞)",
                "x < -3",
                "(-3, 4)",
                "x < -3 or x > 5",
                r"\{-3, 4\}",
            ],
        ),
        "(2, -3)": (
            [
                "x=2, y=-3",
                "y = -3, x = 2",
                "x = 2 and y = -3",
                "$x = 2$, $y = -3$",
                "(x, y) = (2, -3)",
                r"\left(2, -3\right)",
                "(2.0, \u22123)",
            ],
            [
                "(-3, 2)",
                r"\{2, -3\}",
                "[2, -3]",
                "x=2",
                "x=2 or y=-3",
                "x=-3, y=2",
                "(2, 3)",
                "(2, -3) or (1, 2)",
            ],
        ),
        r"\{-1, 4\}": (
            ["{4, -1}", "x = -1 or x = 4", "-1, 4", "x=4, x=-1", "$x = -1$ and $x = 4$"],
            ["(-1, 4)", "[-1, 4]", "x=-1, y=4", "4", r"\{-1, 4, 5\}", "-1 < x < 4"],
        ),
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": (
            [r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"],
            [r"\begin{pmatrix}1&2\\3&5\end{pmatrix}", "1"],
        ),
        r"\sin(x)^2": ([r"1 - \cos(x)^2", r"\sin^2(x)"], [r"\sin(x)", r"\cos(x)^2", "1"]),
        "5": (
            ["5.0", "+5", "$5$", r"\boxed{5}"],
            [
                *(r"\frac{10}{2}", "10/2", r"\sqrt{25}", r"\binom{5}{4}", "5!/4!", "x=5", "5=y", "5 ⋅ 1"),
                r"5 \pm 3",
                "2+3",
                "0<x<10",
                "[0,10]",
                r"\{1,2,3,4,5\}",
                "1,2,3,4,5",
                "x",
                "-5",
                r"5 \text{ or } 6",
                r"x \geq 5",
                "a number from 0 to 10",
                r"x \in \mathbb{R}",
                r"\infty",
            ],
        ),
        "x = 3": (["3", "x=3.0", "$x = 3$"], ["x=4", "x>3", "-3", "y", "x", "y=3", "x=6/2"]),
        "y = 2x + 1": (
            ["y = 1 + 2x", "2x+1", r"y = \boxed{2x + 1}"],
            [*(f"y = 3x {word} y = 2x + 1" for word in (r"\\", r"\to", r"\Rightarrow", "=")), "y = 2x", "x"],
        ),
        "e^{2x}": (["$e^{2x}$", r"(e^x)^2"], ["e^x", "2e^x", "e^2"]),
    }
    for gold, (right, wrong) in cases.items():
        yield Labelled(
            node,
            gold,
            right=tuple(right),
            wrong=tuple(wrong),
            fair=DIGITS,
            attacked=gold in ("5", "(x+1)^2", r"\{1, 2\}"),
            worse=(gold, wrong[0]),
        )
