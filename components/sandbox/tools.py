"""Tools that a model may call: their schemas, GLM's form of a call, and what each does."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import NoneType
from typing import Any

import numpy as np

from vlmloom.components.sandbox.code import CodeRunner, SandboxFailed

BOX = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 1000},
    "minItems": 4,
    "maxItems": 4,
}


def _schema(says: str, **properties: Any) -> dict[str, Any]:
    return {
        "description": says,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


TOOLS: dict[str, dict[str, Any]] = {
    "crop_image": _schema("The part of the picture in a box, enlarged.", box=BOX),
    "read_text": _schema("What is written in a box of the picture.", box=BOX),
    "calculate": _schema("The value of an expression of numbers, + - * / ** and brackets.",
                         expression={"type": "string", "maxLength": 200}),
    "query_table": _schema("The rows that a SELECT gives.", sql={"type": "string", "maxLength": 1000}),
    "draw_boxes": _schema("Draw boxes [x1,y1,x2,y2] into the picture.",
                          boxes={"type": "array", "items": BOX, "minItems": 1, "maxItems": 50}),
}  # fmt: skip
"""Name -> what it does and the JSON schema of its arguments; boxes are in thousandths."""

Call = tuple[str, dict[str, Any]]
FORM = "<tool_call>NAME\n<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>\n</tool_call>"


class BadCall(ValueError):
    """What was written is no call of a tool; the message says why, for the model to read."""


class QueryOverran(SandboxFailed):
    """A query was ended for its time, which says nothing of it: a busy machine does that too."""


def spelled(name: str, arguments: Mapping[str, Any]) -> str:
    r"""A call in GLM's form.

    >>> spelled("calculate", {"expression": "1 + 2"})
    '<tool_call>calculate\n<arg_key>expression</arg_key>\n<arg_value>1 + 2</arg_value>\n</tool_call>'
    """
    said = ((key, one if isinstance(one, str) else json.dumps(one)) for key, one in arguments.items())
    lines = "".join(f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in said)
    return f"<tool_call>{name}\n{lines}</tool_call>"


def read_call(text: str) -> Call:
    """The one call in a text, beside thoughts and comments, checked against the tool's schema.

    Raises:
        BadCall: there is none, or more than one, or it does not fit.
    """
    text = re.sub(r"<think>.*?(?:</think>|$)|<!--.*?(?:-->|$)", "", text, flags=re.S)
    calls = re.findall(r"<tool_call>(.*?)</tool_call>", text, re.S)
    if len(calls) != 1 or text.count("<tool_call>") != 1:
        raise BadCall(f"found {len(calls)} calls; one of the form {FORM!r} would be right")
    name, *_ = calls[0].split("<arg_key>", 1)
    name = name.strip()
    if name not in TOOLS:
        raise BadCall(f"there is no tool {name[:40]!r}; {', '.join(TOOLS)} would be right")
    form = r"<arg_key>([^<]*)</arg_key>\s*<arg_value>(.*?)</arg_value>"
    found = re.findall(form, calls[0], re.S)
    if re.sub(form, "", calls[0], flags=re.S).strip() != name:
        raise BadCall(f"{name}: the arguments are not of the form {FORM!r}")
    kinds = TOOLS[name]["parameters"]["properties"]
    arguments: dict[str, Any] = {}
    for key, value in found:
        if key in arguments:
            raise BadCall(f"{name}: {key} is given twice")
        arguments[key] = value if kinds.get(key, {}).get("type") == "string" else _value(value)
    _check(name, arguments)
    return name, arguments


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _check(name: str, arguments: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(TOOLS[name]["parameters"]).iter_errors(arguments):
        where = "".join(f"[{part!r}]" for part in error.absolute_path)
        raise BadCall(f"{name}{where}: {error.message[-200:]}")


@dataclass
class Bench:
    """What the tools of one episode work on, and what they have done.

    Attributes:
        picture: uint8 `[height, width, 3]`, where there is one.
        writing: what is written where in it, as (text, box in thousandths). `read_text` reads it from here:
            it stands for a reader that makes no mistakes.
        tables: name -> column -> values.
        drawn: the boxes that were drawn.
    """

    picture: np.ndarray | None = None
    writing: Sequence[tuple[str, Sequence[int]]] = ()
    tables: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    drawn: list[list[int]] = field(default_factory=list)

    def use(self, name: str, arguments: Mapping[str, Any]) -> str | np.ndarray:
        """What a tool gives back: text or a picture.

        Raises:
            BadCall: the arguments have the right form, but cannot be done.
            QueryOverran: a query took too long.
        """
        if name == "calculate":
            return str(calculated(arguments["expression"]))
        if name == "query_table":
            return json.dumps(queried(arguments["sql"], self.tables))
        for box in arguments["boxes"] if name == "draw_boxes" else [arguments["box"]]:
            if not (box[0] < box[2] and box[1] < box[3]):
                raise BadCall(f"{name}: found the box {box}; x1 < x2 and y1 < y2 would be right")
        if name == "read_text":
            return (
                "\n".join(text for text, box in self.writing if _inside(box, arguments["box"])) or "nothing"
            )
        if self.picture is None:
            raise BadCall(f"{name}: there is no picture")
        if name == "crop_image":
            return cropped(self.picture, arguments["box"])
        self.drawn.extend(arguments["boxes"])
        return outlined(self.picture, self.drawn)


def _inside(box: Sequence[int], window: Sequence[int]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return window[0] <= x <= window[2] and window[1] <= y <= window[3]


def cropped(picture: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """The part in a box, twice as large."""
    height, width = picture.shape[:2]
    x1, y1 = box[0] * width // 1000, box[1] * height // 1000
    x2, y2 = max(x1 + 1, box[2] * width // 1000), max(y1 + 1, box[3] * height // 1000)
    return picture[y1:y2, x1:x2].repeat(2, 0).repeat(2, 1)


def outlined(picture: np.ndarray, boxes: Sequence[Sequence[int]]) -> np.ndarray:
    """A copy with boxes drawn in red."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for x1, y1, x2, y2 in boxes:
        edges = (
            x1 * image.width / 1000,
            y1 * image.height / 1000,
            x2 * image.width / 1000,
            y2 * image.height / 1000,
        )
        pen.rectangle(edges, outline=(255, 0, 0), width=2)
    return np.asarray(image)


SIGNS: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip


def calculated(expression: str) -> float | int:
    """The value of an expression of numbers.

    Raises:
        BadCall: it is something else, or too large.

    >>> calculated("(1.5 + 2) * 4"), calculated("2 ** 10")
    (14.0, 1024)
    """

    def value(node: Any) -> float | int:
        match node:
            case ast.Expression(body=body):
                return value(body)
            case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
                return float(node.value) if isinstance(node.value, float) else int(str(node.value))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                base, power = value(left), value(right)
                if abs(power) > 64 or abs(base) > 1e6:
                    raise BadCall("calculate: the power is too large")
                result: float | int = base**power
                if isinstance(result, complex):
                    raise BadCall("calculate: the root of a negative number")
                return result
            case ast.BinOp(left=left, op=op, right=right) if type(op) in SIGNS:
                found: float | int = SIGNS[type(op)](value(left), value(right))
                return found
            case ast.UnaryOp(op=op, operand=operand) if type(op) in SIGNS:
                signed: float | int = SIGNS[type(op)](value(operand))
                return signed
        raise BadCall("calculate: found something that is no number; + - * / ** and brackets would be right")

    try:
        total = value(ast.parse(expression.strip(), mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError, OverflowError) as error:
        if isinstance(error, BadCall):
            raise
        raise BadCall(f"calculate: {type(error).__name__}") from None
    if not abs(total) < 1e300:
        raise BadCall("calculate: the value is too large")
    return round(total, 10) if isinstance(total, float) else total


@cache
def runner() -> CodeRunner:
    """With the SQL engine imported already."""
    return CodeRunner(seconds=3.0, preload=("sqlglot.executor",))


def queried(sql: str, tables: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[list[Any]]:
    """The rows of a SELECT by sqlglot's executor, which turns SQL into Python, and so runs in the sandbox.

    Raises:
        BadCall: the query is wrong.
        QueryOverran: it took too long.
    """
    rows = {
        name: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for name, columns in tables.items()
    }
    source = (
        "import sqlglot\nfrom sqlglot.executor import execute\n"
        f"if not isinstance(sqlglot.parse_one({sql!r}), sqlglot.exp.Query): raise ValueError('no SELECT')\n"
        f"rows = [list(row) for row in execute({sql!r}, tables={rows!r}).rows][:200]"
    )
    run = runner().run([source], ["rows"])
    if run.overran:
        raise QueryOverran(f"query_table: {run.error}")
    if run.error:
        raise BadCall(f"query_table: {run.error[:200]}")
    try:
        found: list[list[Any]] = ast.literal_eval(run.values[0])
        if all(isinstance(one, (str, int, float, NoneType)) for row in found for one in row):
            return found
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        pass
    raise BadCall("query_table: a value that is neither a number nor text")
