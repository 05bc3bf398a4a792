"""What a conversation must keep to before it can be written out."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.contracts.conversation import ROLES, Conversation, Message
from vlmloom.components.contracts.sample import Picture
from vlmloom.components.processor.glm_template import Release


def check(conversation: Conversation, release: Release | None, *, prompt: bool) -> None:
    """Refuse a conversation that no template could write.

    Args:
        conversation: what was given.
        release: whose form it is to take; None for a template that is not known.
        prompt: whether the assistant is to speak next.

    Raises:
        ValueError: the first thing that is wrong, with the message that it is in.
    """
    messages = conversation.messages
    if not messages:
        raise ValueError("has no messages")
    for place, message in enumerate(messages):
        fault = _fault(message) or _result_fault(messages, place)
        if fault:
            raise ValueError(f"messages[{place}]: {fault}")
    if release == "4.1v" and (conversation.tools or any(m.role == "tool" or m.calls for m in messages)):
        raise ValueError("GLM-4.1V knows no tools; release: 4.5v would be right")
    if prompt and messages[-1].role not in ("user", "tool"):
        raise ValueError(
            f"messages[{len(messages) - 1}]: the last turn is the {messages[-1].role}'s, "
            "but a prompt ends with a user's turn or a tool's result"
        )


def _fault(message: Message) -> str | None:
    if message.role not in ROLES:
        return f"the role is {message.role!r}, but may be {', '.join(ROLES[:-1])} or {ROLES[-1]}"
    if isinstance(message.parts, str):
        return "parts is a text, but a list of texts and pictures is needed"
    for part in message.parts:
        if not isinstance(part, str | Picture):
            return f"a part is of type {type(part).__name__}, but may be a text or a picture"
    if message.role != "assistant" and (message.calls or message.reasoning):
        return f"a turn of the {message.role} holds {'tool calls' if message.calls else 'reasoning'}"
    if message.role in ("assistant", "system") and message.pictures:
        return f"a turn of the {message.role} holds a picture, but only a user or a tool shows pictures"
    return None


def _result_fault(messages: Sequence[Message], place: int) -> str | None:
    """A tool's result that answers no call."""
    if messages[place].role != "tool":
        return None
    before = place
    while before >= 0 and messages[before].role == "tool":
        before -= 1
    calls = len(messages[before].calls) if before >= 0 else 0
    if not calls:
        return "a tool's result without a call before it"
    if place - before > calls:
        return f"{place - before} results for the {calls} calls of messages[{before}]"
    return None
