"""Labelled answers in words: names, options, lists."""

from __future__ import annotations

import random
from collections.abc import Iterator

from vlmloom.pipelines.trust.attacks import DIGITS, HELD
from vlmloom.pipelines.trust.forms import in_box
from vlmloom.pipelines.trust.labelled import Labelled

WORDS = tuple(
    "cat dog apple bridge candle garden river window tractor violin pepper saddle lantern monkey button "
    "carpet".split()
)


SIGNED = (
    *(
        ("-5", "\u22125", "5"),
        ("√2", "√ 2", "2"),
        ("±5", "± 5", "5"),
        ("≥5", "≥ 5", "5"),
        ("≤5", "≤ 5", "≥ 5"),
    ),
    *(
        ("≈5", "≈ 5", "5"),
        ("5%", "5 %", "5"),
        ("2√3", "2 √3", "√2 3"),
        ("$5", "$ 5", "€5"),
        ("5°", "5 °", "5"),
    ),
    *(
        ("C++", "c++", "C"),
        ("C#", "c#", "C"),
        ("10-20", "10 \u2013 20", "1020"),
        ("a.b@c.org", "A.B@c.org", "a b c org"),
    ),
    *(("3/4", "3 / 4", "34"), ("a→b", "a → b", "a b"), ("की", "की।", "का"), ("café", "cafe\u0301", "cafe")),
)
"""A text whose signs carry a meaning, the same in another form, and another text."""
CODES = (
    "https://a-b.org/X?q=Tea",
    "Jo.Smith-2@mail.org",
    "9F3a-77-bC",
    "SW1A 2AA",
    "4006381333931",
    "+44 20 7946-0018",
)


NAMED = (
    ("right", "left", ("To the right.", "At the right side."), ("To the left.", "not to the right")),
    ("second", "first", ("The second image", "The second one."), ("The first image", "no second one")),
    ("yes", "no", ("Yes, it does.", "Yes, they are."), ("Yes, it does not.", "No, it does not.", "Yes, no.")),
)
"""A choice, another one, and what names it in a sentence, and does not."""
OPPOSED = {
    "left": ("right", "first", "table"),
    "no": ("correct", "yes", "all"),
    "above": ("beneath", "chart"),
}
"""Answers, and words that speak of an answer elsewhere and are wrong answers here."""


def exact(dice: random.Random) -> Iterator[Labelled]:
    """`reward/exact`, of words, of signs, and letter by letter."""
    for gold, same, other in SIGNED:
        yield Labelled(
            {"use": "reward/exact"},
            gold,
            right=(same, f" {gold}. ", f"**{gold}**", f"`{gold}`"),
            wrong=(other, f"{gold} or {other}", f"not {gold}", f"{gold}?"),
            fair=DIGITS,
            attacked=gold in ("-5", "5%", "C++"),
        )
    for gold, other, right, wrong in NAMED:
        yield Labelled(
            {"use": "reward/exact"},
            gold,
            choices=(gold, other),
            right=right,
            wrong=(*wrong, other, f"{gold} of {other}"),
        )
    for gold in CODES:
        letter = next((one for one in gold if one.isalpha()), gold[0])
        yield Labelled(
            {"use": "reward/exact", "literal": True},
            gold,
            right=(f" {gold}\n", f"`{gold}`", f"**{gold}**"),
            wrong=(
                *(one for one in (gold.swapcase(), gold.upper(), gold.lower()) if one != gold),
                *(gold.replace(sign, "") for sign in "-./ @" if sign in gold),
                *(f"{gold}.", f"{gold} or {CODES[0]}", gold.replace(letter, "", 1), f"not {gold}"),
            ),
            attacked=gold == CODES[1],
        )
    for gold, opposed in OPPOSED.items():
        told = ("The right answer is {}.", "So it is {}", "Certainly! The answer is {}", "### Answer\n{}")
        yield Labelled(
            {"use": "reward/exact"},
            gold,
            right=tuple(form.format(gold) for form in told),
            wrong=opposed,
            attacks={kind: text for other in opposed for kind, text in headed(gold, other).items()},
            attacked=False,
        )
    for word in WORDS:
        others = dice.sample([one for one in WORDS if one != word], 3)
        yield Labelled(
            {"use": "reward/exact"},
            word,
            choices=(word, *others),
            right=(
                word.upper(),
                f"{word}.",
                f"**{word}**",
                f"${word}$",
                f"The {word}",
                f"  a {word}!",
                f'"{word}"',
                word.title(),
                f"It is a {word}.",
                f"It's the {word}.",
            ),
            wrong=(
                *others,
                f"not {word}",
                f"{word} or {others[0]}",
                word[:-1],
                f"{word} {others[1]}",
                f"{word}?",
            ),
            worse=(word, word[:-1], ""),
        )


LETTERED = (
    *(
        "La respuesta correcta es {}",
        "Die richtige Antwort ist {}",
        "Die Antwort lautet: {}",
        "My answer is {}",
    ),
    *("\u6b63\u786e\u7b54\u6848\u662f{}", "\u6b63\u786e\u7b54\u6848\uff1a{}", "\u9009{}", "\u9009\u9879{}"),
    *("The correct answer is option {}.", "The answer is option ({}).", "### {}", "__{}__", "* {}", "- {}"),
    *("\\boxed{{\\text{{{}}}}}", "I choose {}", "So the answer is <|begin_of_box|>{}<|end_of_box|>."),
)
"""An option's letter as it is told."""


def headed(gold: str, other: str) -> dict[str, str]:
    """The right answer below, behind or in a box or a fence after another one."""
    box = in_box(gold)
    forms = {
        "heading": f"### {other}\n{gold}",
        "bold heading": f"**{other}**\n\n{gold}",
        "fence": f"{other}.\n```\n{gold}\n```",
        "box": f"The answer is {other}. {box}",
        "colon": f"{other}: {box}",
        "sentence": f"{other} is the correct answer:\n{gold}",
    }
    return {f"{other}, then the right one: {form}": text for form, text in forms.items()}


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
                f"It is {letter}.",
                f"the {word}",
                *(form.format(letter) for form in LETTERED),
                f"{letter}.{word}",
                f"({letter}){word}",
                f"{letter}\u3001{word}",
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
            attacks={"every option": " ".join("ABCD"), "options in a list": ", ".join(words)}
            | headed(letter, other)
            | headed(letter, letters[other])
            | {"all of them": f"All of these are correct: {letter}", "each": f"Each is correct: {letter}"},
            worse=(letter, other, ""),
        )
        yield Labelled(
            {"use": "reward/choice"},
            word,
            choices=tuple(words),
            right=(word.upper(), f"the {word}", f"{word}.", f"Answer: {word}", f"It is a {word}."),
            wrong=(letters[other], f"{word} or {letters[other]}", "A", "B", "C", "D", ""),
            attacks=headed(word, letters[other]),
            worse=(word, letters[other]),
        )


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
        counted_down = "\n".join(f"{4 - place}. {word}" for place, word in enumerate(words))
        attacks = {"every word": ", ".join(WORDS), "one word often": ", ".join([words[0]] * 50)}
        for name, right, bad in (
            ("set", (*forms, *spoken, turned), wrong),
            ("sequence", (*forms, *spoken), (*wrong, turned, counted_down)),
        ):
            for chain in (more, fewer):
                yield Labelled(
                    {"use": f"reward/{name}"},
                    ", ".join(words),
                    right=right,
                    wrong=bad,
                    attacks=attacks,
                    partial=HELD | {"twice"},
                    worse=chain,
                )
