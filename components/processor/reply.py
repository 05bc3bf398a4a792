"""What a model wrote in its turn, taken apart: reasoning, content, boxed answer, tool calls."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vlmloom.components.contracts.conversation import Reply, ToolCall, ToolSpec
from vlmloom.components.contracts.marks import GLM_TOKENS
from vlmloom.components.contracts.tokenizer import Tokenizer
from vlmloom.components.processor.arguments import Malformed, typed
from vlmloom.components.processor.guard import Piece

ANSWER = re.compile(r"\s*<answer>(.*?)(?:</answer>\s*|\Z)", re.DOTALL)


def take_apart(ids: Sequence[int], tokenizer: Tokenizer, stops: Sequence[int]) -> Iterator[Piece]:
    """Generated ids, up to the token that ends the turn, as text cut at the control tokens.

    Marks that are no tokens of this tokenizer (GLM-4.1V's `<think>`) are found in the text.
    """
    names = {number: token for token, number in tokenizer.controls.items()}
    spelt = [token for token in GLM_TOKENS if token not in tokenizer.controls]
    find = re.compile("|".join(map(re.escape, spelt)) or "(?!)")
    run: list[int] = []

    def text() -> Iterator[Piece]:
        whole, start = tokenizer.decode(run, keep_special=True) if run else "", 0
        for found in find.finditer(whole):
            yield whole[start : found.start()], False
            yield found[0], True
            start = found.end()
        yield whole[start:], False
        run.clear()

    for number in ids:
        if number in stops:
            break
        if number in names:
            yield from text()
            yield names[number], True
        else:
            run.append(number)
    yield from text()


def parse(pieces: Iterable[Piece], tools: Iterable[ToolSpec] = ()) -> Reply:
    """A turn in pieces as a `Reply`; what is malformed becomes a line in `errors` and is left out.

    Args:
        pieces: text cut at the control tokens.
        tools: the tools that may be called.
    """
    rest = [piece for piece in pieces if piece[0]]
    reasoning, rest = _reasoning(rest)
    content: list[str] = []
    boxes: list[str] = []
    calls: list[ToolCall] = []
    errors: list[str] = []
    specs = {_name_of(spec): spec for spec in map(function_of, tools)}
    known = specs if specs else None
    while rest:
        text, control = rest.pop(0)
        if not control:
            content.append(text)
        elif text == "<tool_call>":
            inside, rest, closed = _until(rest, "</tool_call>")
            number = len(calls) + len(errors) + 1
            try:
                calls.append(_call(inside, closed, known))
            except Malformed as fault:
                errors.append(f"tool call {number}: {fault}")
        elif text == "<|begin_of_box|>":
            inside, rest, closed = _until(rest, "<|end_of_box|>")
            content.extend(piece[0] for piece in inside)
            if closed:
                boxes.append("".join(piece[0] for piece in inside).strip())
            else:
                errors.append("<|begin_of_box|> is not closed by <|end_of_box|>")
        elif text not in ("<think>", "</think>", "<|end_of_box|>"):
            content.append(text)
    whole = "".join(content)
    answer = ANSWER.match(whole)
    return Reply(
        content=(answer[1] if answer else whole).strip(),
        reasoning=reasoning.strip(),
        boxed=boxes[-1] if boxes else None,
        calls=tuple(calls),
        errors=tuple(errors),
    )


def function_of(spec: ToolSpec) -> ToolSpec:
    """The function within `{"type": "function", "function": ...}`, or the specification as it is."""
    inner = spec.get("function")
    return inner if isinstance(inner, dict) else spec


def _name_of(spec: ToolSpec) -> str:
    if "name" not in spec:
        raise ValueError(f"a tool has no name, only {', '.join(spec) or 'nothing'}")
    return str(spec["name"])


def _reasoning(pieces: list[Piece]) -> tuple[str, list[Piece]]:
    """What stands before `</think>`, and the rest; behind a `<think>` that is not closed all is reasoning."""
    if ("</think>", True) in pieces:
        end = pieces.index(("</think>", True))
        return "".join(text for text, _ in pieces[:end] if text != "<think>"), pieces[end + 1 :]
    if ("<think>", True) in pieces:
        start = pieces.index(("<think>", True))
        return "".join(text for text, _ in pieces[start + 1 :]), pieces[:start]
    return "", pieces


def _until(pieces: list[Piece], end: str) -> tuple[list[Piece], list[Piece], bool]:
    """The pieces before a mark, those behind it, and whether there is one."""
    if (end, True) not in pieces:
        return pieces, [], False
    place = pieces.index((end, True))
    return pieces[:place], pieces[place + 1 :], True


def _call(pieces: list[Piece], closed: bool, specs: dict[str, ToolSpec] | None) -> ToolCall:
    """`name`, then pairs of `<arg_key>` and `<arg_value>`, in any spacing."""
    name = pieces.pop(0)[0].strip() if pieces and not pieces[0][1] else ""
    if not name:
        raise Malformed("has no name")
    if not closed:
        raise Malformed(f"{name} is not closed by </tool_call>")
    if specs is not None and name not in specs:
        close = difflib.get_close_matches(name, specs, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(specs)}"
        raise Malformed(f"no tool is called {name}; {hint}")
    values: dict[str, str] = {}
    while pieces:
        key, pieces = _field(pieces, "arg_key", name)
        key = key.strip()
        if not pieces or next((text for text, _ in pieces if text.strip()), "") != "<arg_value>":
            raise Malformed(f"{name}: the argument {key} has no <arg_value>")
        value, pieces = _field(pieces, "arg_value", name)
        if key in values:
            raise Malformed(f"{name}: the argument {key} is given twice")
        values[key] = value
        while pieces and not pieces[0][1] and not pieces[0][0].strip():
            pieces.pop(0)
    schema: Any = {} if specs is None else specs[name].get("parameters") or {}
    return ToolCall(name, typed(name, values, schema))


def _field(pieces: list[Piece], field: str, name: str) -> tuple[str, list[Piece]]:
    """The text between `<field>` and `</field>`, and what comes behind."""
    while pieces and not pieces[0][1] and not pieces[0][0].strip():
        pieces = pieces[1:]
    if not pieces or pieces[0] != (f"<{field}>", True):
        found = json.dumps(pieces[0][0][:40], ensure_ascii=False) if pieces else "nothing"
        raise Malformed(f"{name}: found {found} where <{field}> would be right")
    inside, rest, closed = _until(pieces[1:], f"</{field}>")
    if not closed:
        raise Malformed(f"{name}: <{field}> is not closed by </{field}>")
    return "".join(text for text, _ in inside), rest
