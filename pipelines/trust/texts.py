"""Labelled answers in sentences: text that is read, captions, events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from vlmloom.pipelines.trust.attacks import HELD
from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.pipelines.trust.words import WORDS

TEXTS = HELD | {"twice", "look-alikes", "nested boxes", "repeated boxes", "turned writing"}
"""Attacks that hold most letters of the gold answer, which is worth something where letters count."""


def edit(dice: random.Random) -> Iterator[Labelled]:
    """`reward/edit`."""
    for _ in range(20):
        text = " ".join(dice.sample(WORDS, 6)).capitalize() + f" {dice.randint(10, 99)}."
        yield Labelled(
            {"use": "reward/edit"},
            text,
            wrapped=False,
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
            # The caption is there, with words beside it that say nothing of what is absent.
            fair=frozenset(
                {"twice", "nested boxes", "repeated boxes", "both", "slash", "in a longer list"}
                | {"one a line", "key twice", "squared", "far behind", "lead of another", "fence in a fence"}
            ),
            partial=HELD,
            worse=tuple(", ".join(own[:keep] + other[keep:]) for keep in (3, 2, 1, 0)),
        )


def event(dice: random.Random) -> Iterator[Labelled]:
    """`reward/event_summary`."""
    for thing in WORDS:
        other = dice.choice([word for word in WORDS if word != thing])
        told = {"title": [[thing], ["door"]], "describes": [[thing], ["door"]], "excludes": [other]}

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
                summary(f"{thing} not at door", f"A {thing} or a {other} walks to the door."),
                summary(f"{title}?", f"If a {thing} walks to the door."),
                summary(f"Fake {title}", f"Maybe a {thing} walks to the door."),
                json.dumps([title, description]),
            ),
            attacks={
                "lines in the title": summary("a" + "\n" * 40_000 + "b", description),
                "taken back inside": summary(title, f"{description} This is not true."),
                "taken back at once": summary(
                    title, f"A {thing} walks to the door, no, wait, it is a {other}."
                ),
                "all words": summary(" ".join(WORDS[:5]), " ".join(WORDS * 4)),
                "more keys": json.dumps({"title": title, "description": description, "score": 1}),
                "another act": summary(f"{thing} eats door", f"A {thing} burns down the door."),
                "turned round": summary(f"Door {thing}", f"The door walks to the {thing}."),
                "another actor": summary(
                    f"Stranger at {thing}", f"A {thing} comes; a stranger is at the door."
                ),
                "away": summary(f"{thing} leaves door", f"A {thing} runs away from the door."),
                "both things": summary(f"{thing} {other} door", f"A {thing} walks. A {other} walks."),
            },
            worse=(summary(title, description), summary(title, "x"), summary("x", "x")),
        )
