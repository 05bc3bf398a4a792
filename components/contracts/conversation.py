"""A conversation: who said what, with pictures, reasoning, tool calls and what the tools gave back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlmloom.components.contracts.sample import Picture

ROLES = ("system", "user", "assistant", "tool")

ToolSpec = Mapping[str, Any]
"""A function as JSON: `{"name", "description", "parameters"}`, also inside `{"type", "function"}`."""


@dataclass(frozen=True)
class ToolCall:
    """A function that the assistant calls.

    Attributes:
        name: of the function.
        arguments: JSON values by name.
    """

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One turn, or one tool's result.

    Attributes:
        role: one of `ROLES`; `tool` is what a tool gave back, in the order of the calls.
        parts: text and pictures in order.
        reasoning: what the assistant thought before it answered.
        calls: what the assistant calls after its text.
        trained: False keeps a turn of the assistant in view but out of the loss, such as a wrong step.
    """

    role: str
    parts: Sequence[str | Picture] = ()
    reasoning: str = ""
    calls: Sequence[ToolCall] = ()
    trained: bool = True

    @property
    def text(self) -> str:
        """The text without the pictures."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> list[Picture]:
        """The pictures, in order."""
        return [part for part in self.parts if isinstance(part, Picture)]


@dataclass(frozen=True)
class Conversation:
    """Turns, and the tools that may be called in them.

    Attributes:
        messages: in order.
        tools: what the assistant may call.
        thinking: whether the assistant is to think before it answers; None leaves it to the processor.
    """

    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    thinking: bool | None = None

    @property
    def pictures(self) -> list[Picture]:
        """The pictures of all turns, in order."""
        return [picture for message in self.messages for picture in message.pictures]


@dataclass(frozen=True)
class Reply:
    """What a model wrote in one turn, taken apart.

    Attributes:
        content: the answer, without reasoning, calls and the marks of a box.
        reasoning: what was thought.
        boxed: the final answer where it was put into a box, else None.
        calls: the well-formed calls, their arguments typed by the tools' schemas.
        errors: one line for each thing that is malformed.
    """

    content: str
    reasoning: str = ""
    boxed: str | None = None
    calls: tuple[ToolCall, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """What is to be judged: the boxed answer where there is one, else the content."""
        return self.content if self.boxed is None else self.boxed

    def message(self) -> Message:
        """The turn as it goes on in the conversation."""
        return Message("assistant", [self.content] if self.content else [], self.reasoning, self.calls)
