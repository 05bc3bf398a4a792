"""Labelled answers in words and numbers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from fractions import Fraction

from vlmloom.pipelines.trust.labelled import Labelled

WORDS = tuple(
    "cat dog apple bridge candle garden river window tractor violin pepper saddle lantern monkey button "
    "carpet".split()
)
TEXTS = frozenset({"twice", "look-alikes", "nested boxes", "repeated boxes", "turned writing"})
"""Attacks that hold most letters of the gold answer, which is worth something where letters count."""


def exact(dice: random.Random) -> Iterator[Labelled]:
    """`reward/exact`."""
    for word in WORDS:
        others = dice.sample([one for one in WORDS if one != word], 3)
        yield Labelled(
            {"use": "reward/exact"},
            word,
            choices=(word, *others),
            right=(word.upper(), f"{word}.", f"The {word}", f"  a {word}!", f'"{word}"', word.title()),
            wrong=(*others, f"not {word}", f"{word} or {others[0]}", word[:-1], f"{word} {others[1]}"),
            worse=(word, word[:-1], ""),
        )


def choice(dice: random.Random) -> Iterator[Labelled]:
    """`reward/choice`, with letters and without."""
    for _ in range(16):
        words = dice.sample(WORDS, 4)
        letters = dict(zip("ABCD", words, strict=True))
        letter, other = dice.sample("ABCD", 2)
        word = letters[letter]
        yield Labelled(
            {"use": "reward/choice"},
            letter,
            {"options": letters},
            right=(
                letter.lower(),
                f"({letter})",
                f"{letter}.",
                f"{letter}) {word}",
                f"**{letter}**",
                word,
                f"The answer is {letter}.",
                f"Answer: {letter}",
                f"{letter}: {word.upper()}",
                f"the {word}",
            ),
            wrong=(
                other,
                letters[other],
                f"{letter} or {other}",
                f"{other}. {word}",
                f"{letter}{other}",
                f"not {letter}",
                f"{letter}, {other}",
                "E",
                "all of them",
                f"{letter}. {letters[other]}",
            ),
            attacks={"every option": " ".join("ABCD"), "options in a list": ", ".join(words)},
            worse=(letter, other, ""),
        )
        yield Labelled(
            {"use": "reward/choice"},
            word,
            choices=tuple(words),
            right=(word.upper(), f"the {word}", f"{word}.", f"Answer: {word}"),
            wrong=(letters[other], f"{word} or {letters[other]}", "A", "B", "C", "D", ""),
            worse=(word, letters[other]),
        )


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
                f"${gold}$",
                str(gold).translate({48 + d: 0xFF10 + d for d in range(10)}),
            ),
            wrong=(
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
            fair=frozenset({"look-alikes"}),  # a full-width digit is that digit
            worse=(str(gold), str(gold + 1), str(gold + 50)),
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
            fair=frozenset({"look-alikes"}),
            worse=(f"{gold}", f"{gold * 1.07:.0f}", f"{gold * 2}"),
        )
    for year in (1987, 2003, 2024):
        yield Labelled(
            {"use": "reward/number", "relative": 0.05},
            str(year),
            right=(f"{year}.", f"in {year}"[3:], f"{year}"),
            wrong=(str(year + 1), str(year - 1), f"{year}.5", f"{year - 1}-{year + 1}"),
            fair=frozenset({"look-alikes"}),
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
            right=(f"0{gold}", f" {gold}.", f"**{gold}**", f"{hour}.{minute}", f"The answer is {gold}."),
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
            fair=frozenset({"look-alikes"}),  # a full-width digit is that digit
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
            fair=frozenset({"look-alikes"}),
            attacked=turn == 0,
            worse=(f"{above}/{below}", f"{above + 1}/{below}", "x"),
        )
    cases = {
        "(x+1)^2": (
            ["x^2+2x+1", "$x^2 + 2x + 1$", "(1+x)^2", "(x+1)(x+1)", "x**2 + 2*x + 1"],
            ["x^2+1", "x+1", "(x-1)^2"],
        ),
        r"2\sqrt{3}": (
            ["2sqrt(3)", "2*sqrt(3)", r"\sqrt{12}", r"$2\sqrt 3$"],
            [r"\sqrt{6}", "3.46", r"3\sqrt{2}", "2"],
        ),
        r"\pi r^2": ([r"r^2\pi", "pi*r^2", r"$\pi \cdot r^{2}$"], [r"2\pi r", r"\pi r", r"\pi"]),
        r"\{1, 2\}": (
            [r"\{2, 1\}", r"$\{1,2\}$"],
            ["1", r"\{1\}", r"\{1,2,3\}", "[1,2]", r"1 \text{ or } 3"],
        ),
        "[0, 1]": (["$[0,1]$"], ["(0,1)", "[0,2]", "0", r"\mathbb{R}"]),
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
        "e^{2x}": (["$e^{2x}$", r"(e^x)^2"], ["e^x", "2e^x", "e^2"]),
    }
    for gold, (right, wrong) in cases.items():
        yield Labelled(
            node,
            gold,
            right=tuple(right),
            wrong=tuple(wrong),
            fair=frozenset({"look-alikes"}),
            attacked=gold in ("5", "(x+1)^2", r"\{1, 2\}"),
            worse=(gold, wrong[0]),
        )


def edit(dice: random.Random) -> Iterator[Labelled]:
    """`reward/edit`."""
    for _ in range(20):
        text = " ".join(dice.sample(WORDS, 6)).capitalize() + f" {dice.randint(10, 99)}."
        yield Labelled(
            {"use": "reward/edit"},
            text,
            right=(f"  {text}\n", text.replace(" ", "  "), text.replace(" ", "\n", 1)),
            wrong=(" ".join(dice.sample(WORDS, 2)), text[: len(text) // 3], text[0]),
            partial=TEXTS,
            worse=tuple(blotted(text, dice)),
        )


def blotted(text: str, dice: random.Random) -> Iterator[str]:
    """A text with ever more letters replaced by a sign that it does not hold."""
    letters = list(text)
    places = list(range(len(letters)))
    dice.shuffle(places)
    yield text
    for start in range(0, len(places), 5):
        for place in places[start : start + 5]:
            letters[place] = "#"
        yield "".join(letters)


def lists(dice: random.Random) -> Iterator[Labelled]:
    """`reward/set` and `reward/sequence`."""
    for _ in range(16):
        words = dice.sample(WORDS, 4)
        others = [word for word in WORDS if word not in words]
        forms = (
            str(words).replace("'", '"'),
            "\n".join(f"- {word}" for word in words),
            "\n".join(f"{number}. {word.title()}" for number, word in enumerate(words, 1)),
            "; ".join(words),
            ", ".join(f"the {word}" for word in words),
        )
        spoken = (" > ".join(words), ", then ".join(words), f"{', '.join(words[:-1])} and {words[-1]}")
        more = tuple(", ".join(words[:keep] + others[: 4 - keep]) for keep in (4, 3, 2, 1, 0))
        fewer = (*tuple(", ".join(words[:keep]) for keep in (4, 3, 2, 1)), "")
        wrong = (", ".join(others[:4]), words[0], f"{words[0]}, {others[0]}", "and so on")
        turned = ", ".join(reversed(words))
        attacks = {"every word": ", ".join(WORDS), "one word often": ", ".join([words[0]] * 50)}
        for name, right, bad in (
            ("set", (*forms, turned), wrong),
            ("sequence", (*forms, *spoken), (*wrong, turned)),
        ):
            for chain in (more, fewer):
                yield Labelled(
                    {"use": f"reward/{name}"},
                    ", ".join(words),
                    right=right,
                    wrong=bad,
                    attacks=attacks,
                    partial=frozenset({"twice"}),
                    worse=chain,
                )


def caption(dice: random.Random) -> Iterator[Labelled]:
    """`reward/attributes`."""
    colours = ("red", "blue", "green", "white")
    for _ in range(20):
        things = dice.sample(WORDS, 6)
        own = [f"{dice.choice(colours)} {thing}" for thing in things[:3]]
        other = [
            " ".join((next(c for c in colours if c != word.split()[0]), word.split()[1])) for word in own
        ]
        said = ", ".join(f"a {word}" for word in own)
        yield Labelled(
            {"use": "reward/attributes"},
            f"There is {said}.",
            {"attributes": own, "absent": [*other, *things[3:]]},
            right=(
                said,
                f"{said.upper()}!",
                f"A picture of {said}; nothing else.",
                f"{said}. There is no {things[3]}.",
                " and ".join(own),
                f"You see {said} on a table.",
                f"On the left is {said}.",
            ),
            wrong=(
                "a picture",
                f"a {own[0]}",
                said.replace("a ", "no "),
                "; ".join(f"{word} is missing" for word in own),
                "; ".join(f"the {word} is not there" for word in own),
                ", ".join(other),
                ", ".join(things),
            ),
            attacks={
                "everything": ", ".join([*own, *other, *things]),
                "colours": " ".join(colours * 3),
                "gold and all others": f"{said}, {', '.join(other)}",
            },
            fair=frozenset(
                {"twice", "nested boxes", "repeated boxes"}
            ),  # the caption is there, once or twice
            worse=tuple(", ".join(own[:keep] + other[keep:]) for keep in (3, 2, 1, 0)),
        )


def event(dice: random.Random) -> Iterator[Labelled]:
    """`reward/event_summary`."""
    for thing in WORDS:
        other = dice.choice([word for word in WORDS if word != thing])
        told = {"title": [[thing], ["door"]], "describes": [[thing], ["walks", "comes"]], "excludes": [other]}

        def summary(title: str, description: str) -> str:
            return json.dumps({"title": title, "description": description})

        title, description = f"{thing.title()} at door", f"A {thing} walks to the door."
        yield Labelled(
            {"use": "reward/event_summary"},
            summary(title, description),
            {"event": told},
            right=(
                summary(f"The {thing} at the door"[:60], f"The {thing} comes to the door. It stays there."),
                summary(title.upper(), description.lower()),
                json.dumps({"description": description, "title": title}, indent=1),
            ),
            wrong=(
                summary("", ""),
                summary(f"{other} at door", f"A {other} walks."),
                summary(title, f"The camera shows a {thing} that was here."),
                f"{title}. {description}",
                summary(f"No {thing} at door", f"No {thing} walks to the door."),
                summary("x", f"{thing} door comes walks."),
                summary("x", f"{thing} door."),
                summary(title, description)[:-1] + ', "title": ' + json.dumps(title) + "}",
                summary(f"{title} or {other}", description),
                json.dumps([title, description]),
            ),
            attacks={
                "all words": summary(" ".join(WORDS[:5]), " ".join(WORDS * 4)),
                "more keys": json.dumps({"title": title, "description": description, "score": 1}),
                "both things": summary(f"{thing} {other} door", f"A {thing} walks. A {other} walks."),
            },
            worse=(summary(title, description), summary(title, "x"), summary("x", "x")),
        )
