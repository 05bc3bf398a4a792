"""Messages in the form that chat templates take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlmloom.components.contracts.conversation import Message
from vlmloom.components.contracts.sample import Picture
from vlmloom.components.processor.clips import is_clip
from vlmloom.components.processor.glm_template import Turn, as_json


def as_turn(message: Message, protect: Callable[[Any], Any]) -> Turn:
    """A message as a mapping.

    Args:
        message: which one.
        protect: what is done to every text that is not the template's own.

    Raises:
        ValueError: the arguments of a call are no JSON.
    """
    turn: dict[str, Any] = {"role": message.role}
    turn["content"] = list(_content(message.parts, protect)) if message.pictures else protect(message.text)
    if message.reasoning:
        turn["reasoning_content"] = protect(message.reasoning)
    if message.calls:
        turn["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": protect(call.name), "arguments": _checked(call.arguments)},
            }
            for call in message.calls
        ]
        for call in turn["tool_calls"]:
            call["function"]["arguments"] = protect(call["function"]["arguments"])
    return turn


def _checked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        as_json(dict(arguments))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the arguments of a call are no JSON ({error})") from None
    return dict(arguments)


def _content(parts: Sequence[str | Picture], protect: Callable[[Any], Any]) -> Iterator[dict[str, str]]:
    """Neighbouring texts are joined before they are protected: together they may spell a control token."""
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield {"type": "text", "text": protect(text)}
        yield {"type": "video" if is_clip(part) else "image"}
        text = ""
    if text:
        yield {"type": "text", "text": protect(text)}
