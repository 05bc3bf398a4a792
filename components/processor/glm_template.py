"""GLM's chat templates as code: messages to the text of a prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Release = Literal["4.1v", "4.5v", "4.6v"]
Turn = Mapping[str, Any]
"""`role`, `content` (a text, or a list of `{"type": "text" | "image" | "video"}`), and for the assistant
`reasoning_content` and `tool_calls`, as transformers' templates take them."""

PREFIX = "[gMASK]<sop>"
IMAGE = "<|begin_of_image|><|image|><|end_of_image|>"
VIDEO = "<|begin_of_video|><|video|><|end_of_video|>"
NO_THINKING = "/nothink"
EMPTY_THOUGHT = "<think></think>"

TOOLS = """<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{specs}
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{{function-name}}
<arg_key>{{arg-key-1}}</arg_key>
<arg_value>{{arg-value-1}}</arg_value>
<arg_key>{{arg-key-2}}</arg_key>
<arg_value>{{arg-value-2}}</arg_value>
...
</tool_call>"""


class GlmTemplate:
    """The template of a release of GLM.

    GLM-4.1V has system, user and assistant turns of text (see `in_answer_tags`). From GLM-4.5V on there are
    tools, and reasoning as a part of its own: kept for the turns after the user's last one, and replaced by
    an empty `<think></think>` before.

    What is stated and what is inferred: the templates of GLM-4.1V and of GLM-OCR (which is served by
    GLM-4.6V's processor) were read whole, and `4.6v` is the latter's. That GLM-4.5V writes the same is
    inferred from the same list of tokens, its `/nothink` and its line break before an answer. That GLM-4.1V's
    reasoning goes as `<think></think><answer></answer>` is stated; that earlier turns keep the bare answer is
    how the vendor's command line does it, and the template leaves it open.

    Args:
        release: which form.

    Reference: the chat_template.jinja of zai-org/GLM-4.1V-9B-Thinking and zai-org/GLM-OCR.
    """

    def __init__(self, release: Release) -> None:
        self.release = release

    def opening(self, thinking: bool) -> str:
        """What an assistant's turn begins with before the model writes."""
        if thinking or self.release == "4.1v":
            return "<|assistant|>\n"
        return f"<|assistant|>\n{EMPTY_THOUGHT}\n"

    def render(
        self, turns: Sequence[Turn], tools: Sequence[Any], *, thinking: bool, keep: bool, opened: bool
    ) -> str:
        """The text of a conversation.

        Args:
            turns: the messages.
            tools: specifications of functions.
            thinking: whether the assistant is to think.
            keep: keep the reasoning of earlier turns too.
            opened: end with the opening of an assistant's turn.
        """
        if self.release == "4.1v":
            parts = [f"<|{turn['role']}|>\n{visible(turn['content'])}" for turn in turns]
        else:
            parts = self._later(turns, tools, thinking, keep)
        return PREFIX + "".join(parts) + (self.opening(thinking) if opened else "")

    def _later(self, turns: Sequence[Turn], tools: Sequence[Any], thinking: bool, keep: bool) -> list[str]:
        last = last_user(turns)
        parts = [TOOLS.format(specs="\n".join(map(as_json, tools)))] if tools else []
        for place, turn in enumerate(turns):
            role, text = turn["role"], visible(turn["content"])
            if role == "user":
                quick = not thinking and not text.endswith(NO_THINKING)
                parts.append(f"<|user|>\n{text}{NO_THINKING if quick else ''}")
            elif role == "assistant":
                parts.append(assistant(turn, text, keep or place > last))
            elif role == "tool":
                if place == 0 or turns[place - 1]["role"] != "tool":
                    parts.append("<|observation|>")
                # The published template leaves a line break behind a result that is plain text.
                after = "\n" if isinstance(turn["content"], str) else ""
                parts.append(f"\n<tool_response>\n{text}\n</tool_response>{after}")
            else:
                parts.append(f"<|system|>\n{text}")
        return parts


def assistant(turn: Turn, text: str, reasoned: bool) -> str:
    """An assistant's turn with its reasoning (or without: `reasoned`), its text and its calls."""
    reasoning = str(turn.get("reasoning_content") or "")
    parts = ["<|assistant|>\n"]
    parts.append(f"<think>{reasoning.strip()}</think>" if reasoning and reasoned else EMPTY_THOUGHT)
    if text.strip():
        parts.append(f"\n{text.strip()}")
    for call in turn.get("tool_calls") or ():
        function = call["function"]
        parts.append(f"\n<tool_call>{function['name']}\n")
        for key, value in function["arguments"].items():
            shown = value if isinstance(value, str) else as_json(value)
            parts.append(f"<arg_key>{key}</arg_key>\n<arg_value>{shown}</arg_value>\n")
        parts.append("</tool_call>")
    return "".join(parts)


def visible(content: str | Sequence[Mapping[str, str]]) -> str:
    """The text of a content, with the marks of its pictures."""
    if isinstance(content, str):
        return content
    marks = {"image": IMAGE, "video": VIDEO}
    return "".join(marks.get(part["type"]) or part["text"] for part in content)


def in_answer_tags(turns: Sequence[Turn], keep: bool) -> list[Turn]:
    """GLM-4.1V's turns: its template knows no reasoning apart, so it stands in the text.

    Args:
        turns: with `reasoning_content`.
        keep: keep the reasoning of earlier turns too.
    """
    last, written = last_user(turns), []
    for place, turn in enumerate(turns):
        reasoning = str(turn.get("reasoning_content") or "").strip()
        if reasoning and (keep or place > last):
            text = f"<think>{reasoning}</think><answer>{visible(turn['content'])}</answer>"
            turn = {"role": turn["role"], "content": text}
        written.append(turn)
    return written


def last_user(turns: Sequence[Turn]) -> int:
    """Where the user spoke last; -1 where nobody did."""
    return max((place for place, turn in enumerate(turns) if turn["role"] == "user"), default=-1)


def as_json(value: Any) -> str:
    """JSON as transformers' templates write it: other scripts as they are."""
    return json.dumps(value, ensure_ascii=False)
