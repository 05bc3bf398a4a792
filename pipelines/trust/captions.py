"""Labelled descriptions of one picture in four languages: said, contradicted, left open, taken back."""

from __future__ import annotations

import random
from collections.abc import Iterator

from vlmloom.components.task.perception.describe import BESIDE, COLOURED
from vlmloom.pipelines.trust.labelled import Labelled

WORDS = {
    "en": ("hat", "sofa", "red", "blue", "green"),
    "es": ("sombrero", "sofá", "rojo", "azul", "verde"),
    "de": ("Hut", "Sofa", "rot", "blau", "grün"),
    "zh": ("帽子", "沙发", "红色", "蓝色", "绿色"),
}
"""The thing on the left, the one on the right, their colours and one that neither has."""
RIGHT = {
    "en": (
        "A red hat is to the left of a blue sofa.",
        "There is a hat. It is red. It is left of a blue sofa.",
        "The hat is red and the sofa is blue. The hat stands left of the sofa.",
        "On the left is a red hat, to the right of it is a blue sofa.",
        "A red hat left of a blue sofa. There is nothing else.",
        "The picture shows a red hat on the left and a blue sofa on the right; the hat is left of the sofa.",
        "A blue sofa is right of a red hat, on a white background.",
        "A red hat left of a blue sofa without a dog.",
        "A red hat left of a blue sofa, no red shoes.",
        "A red hat is to the left of a blue sofa, possibly outdoors.",
        "There is a red hat, which is to the left of a blue sofa.",
        "There is a red hat. To the right of the hat is a blue sofa.",
        "A red hat and a blue sofa; left of the sofa there is a red hat.",
        "A red hat, and to the left of the sofa there is a red hat, and right of the red hat is a blue sofa.",
    ),
    "es": (
        "Un sombrero de color rojo a la izquierda de un sofá de color azul.",
        "El sombrero es rojo, el sofá es azul; el sombrero está a la izquierda del sofá.",
        "Un sombrero rojo está a la izquierda de un sofá azul.",
        "Un sombrero rojo está a la izquierda de un sofá azul, sin zapatos rojos.",
        "Un sombrero rojo está a la izquierda de un sofá azul, quizás al aire libre.",
    ),
    "de": (
        "Ein Hut in Rot; ein Sofa in Blau; der Hut links von dem Sofa.",
        "Der Hut ist rot, das Sofa ist blau, der Hut ist links von dem Sofa.",
        "Ein roter Hut steht links von einem blauen Sofa.",
        "Ein roter Hut steht links von einem blauen Sofa, keine roten Schuhe.",
        "Ein roter Hut steht links von einem blauen Sofa, vielleicht draußen.",
    ),
    "zh": (
        "红色的帽子在蓝色的沙发左边。",
        "红色的帽子在蓝色的沙发左边，没有狗。",
        "红色的帽子在蓝色的沙发左边，可能在户外。",
    ),
}
CONTRADICTED = {
    "en": (
        *(
            "{} The hat is blue.",
            "{} Actually the hat is green.",
            "{} It is green.",
            "{} The hat is not red.",
        ),
        *(
            "A red or blue hat left of a blue sofa.",
            "{} The sofa is left of the hat.",
            "{} There is no red hat.",
        ),
        *("{} The hat is above the sofa.", "{} No hat is red.", "A blue sofa instead of a red hat."),
        *("{} But there is neither a hat nor a sofa.", "{} On second thought, the hat is green."),
        *(
            "A red hat, or a green hat, is left of a blue sofa.",
            "A red hat, possibly green, is left of a blue sofa.",
            "{} Without a hat anywhere.",
            "The hat is neither red nor left of the sofa.",
        ),
    ),
    "es": (
        *("{} El sombrero no es rojo.", "{} No hay sombrero.", "{} El sombrero es verde.", "Sin {}"),
        "Un sombrero rojo o azul a la izquierda de un sofá azul.",
    ),
    "de": (
        *("{} Der Hut ist nicht rot.", "{} Kein Hut ist da.", "{} Der Hut ist grün.", "Kein {}"),
        "Ein Hut in Rot oder Blau links von dem Sofa in Blau.",
    ),
    "zh": (
        *("{}帽子不是红色。", "{}没有帽子。", "没有{}", "{}帽子是绿色。", "{}沙发在帽子左边。"),
        "红色或蓝色的帽子在蓝色的沙发左边。",
    ),
}
"""Some of it is said otherwise too, denied or left open: worth less than all."""
TAKEN_BACK = {
    "en": (
        *(
            "{} That is false.",
            "{} This is not so.",
            "{} Not!",
            "{} No.",
            "Not: {}",
            "It is not true that {}",
        ),
        *(
            "{}?",
            "Maybe {}",
            "If it were so: {}",
            "{} None of this is shown.",
            "The picture does not show: {}",
        ),
        *(
            "{} The opposite is true.",
            "{} The description above is wrong.",
            "{} I am lying.",
            "{} Just kidding!",
        ),
        *(
            "{} Nothing of this is there.",
            "{} Ignore that, there is a cat.",
            "I doubt that {}",
            "{} I made it up.",
            "{} This is fiction.",
            "{} That was a joke.",
            "The following is fabricated. {}",
            "{} I cannot see the picture.",
        ),
        "The hat is red, which it is not. The sofa is blue.",
        *("There is no\n{}", "without\n{}", "Here is what is missing:\n{}", "<think>{}"),
        *("Not in the picture\n{}", "{}\nNot shown", "{} Missing.", "Absent. {}", "{} There is no..."),
    ),
    "es": ("{} Eso no es cierto.", "{} Eso es falso.", "No es cierto que {}", "Quizás {}", "{} Mentira."),
    "de": ("{} Das stimmt nicht.", "{} Das ist falsch.", "{} Das ist nicht wahr.", "Nicht: {}"),
    "zh": ("{}这是错的。", "不是：{}", "{}不对。", "可能{}", "{}吗？"),
}


def description(dice: random.Random) -> Iterator[Labelled]:
    """`reward/attributes`, as `task/describe` asks it."""
    for language, (one, other, red, blue, green) in WORDS.items():

        def coloured(name: str, colour: str, language: str = language) -> list[str]:
            return [form.format(name, colour) for form in COLOURED[language]]

        def beside(*words: str, axis: int = 0, language: str = language) -> list[str]:
            return [form.format(*words) for form in BESIDE[language][axis]]

        said, turned = (one, other, red, blue), (other, one, blue, red)
        gold = RIGHT[language][0]
        contradicted = {text: text.format(gold) for text in CONTRADICTED[language]}
        yield Labelled(
            {"use": "reward/attributes"},
            gold,
            {
                "attributes": [coloured(one, red), coloured(other, blue), beside(*said)],
                "absent": [
                    *(coloured(one, colour) for colour in (blue, green)),
                    *(coloured(other, colour) for colour in (red, green)),
                    *(beside(*turned), beside(*said, axis=1), beside(*turned, axis=1)),
                ],
                "language": language,
            },
            right=RIGHT[language][1:],
            attacks=contradicted | {text: text.format(gold) for text in TAKEN_BACK[language]},
            fair=frozenset({"far behind"}),  # a letter says nothing of the picture
            partial=frozenset(contradicted),
            attacked=False,
        )
