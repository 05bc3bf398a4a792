"""What of a rendered conversation is trained on: the assistant's turns, part by part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vlmloom.components.processor.guard import Piece

Part = Literal["reasoning", "content", "calls"]
PARTS: tuple[Part, ...] = ("reasoning", "content", "calls")
ASSISTANT = "<|assistant|>"
STOPS = ("<|user|>", "<|observation|>")
"""The roles that a model ends its turn with: it hands over to the user, or to a tool."""
ROLES = ("<|system|>", *STOPS, ASSISTANT)
BEGINNINGS: dict[str, str] = {"<think>": "reasoning", "<tool_call>": "calls"}


@dataclass(frozen=True)
class Marked:
    """A piece of a rendered prompt.

    Attributes:
        text: a control token, or text.
        control: which of the two.
        trained: whether its tokens have labels.
        opening: whether it is what a turn begins with before the model writes.
    """

    text: str
    control: bool
    trained: bool = False
    opening: bool = False


@dataclass(frozen=True)
class Turn:
    """What is to know of an assistant's turn.

    Attributes:
        trained: whether it has labels at all.
        thought: whether there was reasoning, written out or dropped.
    """

    trained: bool
    thought: bool


def mask(
    pieces: Sequence[Piece], opening: Sequence[Piece], turns: Sequence[Turn], parts: Collection[Part]
) -> Iterator[Marked]:
    """Mark the pieces of a conversation.

    An assistant's turn is trained on from behind its opening up to the role token that ends it. Where
    reasoning was dropped from an earlier turn, the empty pair that stands for it is not trained on: it is not
    what the model should write.

        <|user|> hi <|assistant|> <think></think> hello <|user|> bye <|assistant|> <think> hm </think> well
                                                  ^^^^^ ^^^^^^^^                   ^^^^^^^ ^^ ^^^^^^^^ ^^^^

    Args:
        pieces: all of it, cut at the control tokens.
        opening: what an assistant's turn begins with, cut alike.
        turns: the assistant's turns, in order.
        parts: which parts are trained on.

    Raises:
        ValueError: there are not as many of the assistant's turns as there should be.
    """
    starts = [place for place, piece in enumerate(pieces) if piece == (ASSISTANT, True)]
    if len(starts) != len(turns):
        raise ValueError(
            f"the template writes {len(starts)} turns of the assistant, but there are {len(turns)}"
        )
    done = 0
    for start, turn in zip(starts, turns, strict=True):
        end = next(
            (
                place
                for place in range(start + 1, len(pieces))
                if pieces[place][1] and pieces[place][0] in ROLES
            ),
            len(pieces),
        )
        yield from (Marked(text, control) for text, control in pieces[done:start])
        yield from _turn(pieces[start:end], opening, turn, parts if turn.trained else ())
        done = end
        if end < len(pieces) and pieces[end][0] in STOPS:
            yield Marked(pieces[end][0], True, turn.trained and bool(parts))
            done += 1
    yield from (Marked(text, control) for text, control in pieces[done:])


def _turn(
    pieces: Sequence[Piece], opening: Sequence[Piece], turn: Turn, parts: Collection[str]
) -> Iterator[Marked]:
    body = list(pieces)
    part = "content"
    for given, piece in zip(opening, pieces, strict=False):
        text, control = piece
        if piece == given:
            del body[0]
        elif not control and not given[1] and text.startswith(given[0]):
            body[0] = (text[len(given[0]) :], False)
        else:
            break
        yield Marked(given[0], control, opening=True)
        part = _next(part, given)
    if turn.thought and body[:2] == [("<think>", True), ("</think>", True)]:
        yield from (Marked(text, control) for text, control in body[:2])
        del body[:2]
    for place, piece in enumerate(body):
        if piece[1] and piece[0] in BEGINNINGS:
            part = _next(part, piece)
        between = not piece[0].strip() and body[place + 1 : place + 2] == [("<tool_call>", True)]
        yield Marked(*piece, trained=("calls" if between else part) in parts)
        part = _next(part, piece)


def _next(part: str, piece: Piece) -> str:
    """The part behind a piece."""
    text, control = piece
    if not control:
        return part
    return BEGINNINGS.get(text, "content" if text in ("</think>", "</tool_call>") else part)
