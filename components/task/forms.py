"""What a question says of its answer's form, for models that were not trained on these tasks."""

from __future__ import annotations

from collections.abc import Sequence

ONE_OF = {
    "en": "Answer with one of: {}.",
    "es": "Responde con una de estas opciones: {}.",
    "de": "Antworte mit einer dieser Möglichkeiten: {}.",
    "zh": "请从以下选项中选一个作答：{}。",
}
FROM_TO = {
    "en": "Answer with a number from {} to {}.",
    "es": "Responde con un número de {} a {}.",
    "de": "Antworte mit einer Zahl von {} bis {}.",
    "zh": "请用{}到{}之间的一个数字作答。",
}
BOX = {
    "en": "Answer with [x1,y1,x2,y2] in thousandths of width and height, from the top left corner.",
    "es": "Responde con [x1,y1,x2,y2] en milésimas de ancho y alto, desde la esquina superior izquierda.",
    "de": "Antworte mit [x1,y1,x2,y2] in Tausendsteln von Breite und Höhe, von der Ecke links oben aus.",
    "zh": "请用[x1,y1,x2,y2]作答，以宽和高的千分之一为单位，从左上角算起。",
}


def of_choices(choices: Sequence[str], question: str, language: str = "en") -> str:
    """The sentence that tells what may be answered; nothing where the question names it all.

    >>> of_choices(["1", "2", "3"], "how many?")
    'Answer with a number from 1 to 3.'
    >>> of_choices(["left", "right"], "where is it?"), of_choices(["egg", "key"], "egg or key?")
    ('Answer with one of: left, right.', '')
    """
    if all(choice in question for choice in choices):
        return ""
    if all(choice.isdecimal() for choice in choices):
        return FROM_TO[language].format(choices[0], choices[-1])
    return ONE_OF[language].format(("、" if language == "zh" else ", ").join(choices))
