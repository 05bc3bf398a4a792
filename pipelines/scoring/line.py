"""One line of answers to one question: what `vlmloom score` reads and `vlmloom serve-rewards` is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vlmloom.registry.errors import UserError

SECONDS = 30.0
"""To judge one answer, where nothing else is said."""

MOST_RESPONSES = 1024
"""Of one line."""


@dataclass
class Line:
    """Answers to one question, and what they are to be judged by.

    Attributes:
        responses: the answers, a group.
        task: of the suite; its own verifier judges unless another is named.
        verifier: by its name in the scorer, e.g. `reward/exact`.
        split: with `index`, the item of the task that was asked.
        index: within the split.
        question: in place of an item, the question in words.
        answer: the gold answer.
        truth: what else the verifier needs.
        choices: the closed set of answers where there is one.
        source: where the answers come from, for statistics.
        group: answers to one question that come in several lines share it.
    """

    responses: list[str]
    task: str = ""
    verifier: str = ""
    split: str = ""
    index: int | None = None
    question: str = ""
    answer: str | None = None
    truth: dict[str, Any] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    source: str = ""
    group: str = ""

    @classmethod
    def read(cls, found: Any, task: str = "") -> Line:
        """The line of an object that was read from JSON.

        `response` may stand for `responses` of one, and `id`, `[TASK/]SPLIT/INDEX`, for what it is made of.

        Args:
            found: the object.
            task: which one it is where the line names none, and no other.

        Raises:
            UserError: one line that says what is wrong with it.
        """
        if not isinstance(found, Mapping):
            raise UserError(f"found {_told(found)}; an object with `responses` would be right")
        for key in found:
            if key not in KEYS:
                raise UserError(f"{key!r:.40} is no key of a line; it has {', '.join(KEYS)}")
        given = _written_out(found)
        for key in ("task", "verifier", "split", "question", "source", "group"):
            if not isinstance(given.get(key, ""), str):
                raise UserError(f"{key}: found {_told(given[key])}; a text would be right")
        for key in ("source", "group"):
            if len(given.get(key, "")) > 200:
                raise UserError(f"{key}: found {len(given[key])} characters; at most 200 would be right")
            if given.get(key, "").encode(errors="replace").decode() != given.get(key, ""):
                raise UserError(f"{key}: found {given[key]!r:.40}; a text that UTF-8 can hold would be right")
        if task and given.setdefault("task", task) != task:
            raise UserError(f"task: found {given['task']!r:.40}; {task} would be right")
        _see_texts(given)
        line = cls(**given)
        if not line.task and not line.verifier:
            raise UserError("task or verifier: one of them is needed")
        if (line.index is None) == (line.answer is None):
            raise UserError(
                "found "
                + ("neither an item nor an answer" if line.index is None else "an item and an answer")
                + "; task, split and index, or question and answer would be right"
            )
        if line.index is not None and not (line.task and line.split):
            raise UserError("index: needs task and split beside it")
        return line


KEYS = (*(one.name for one in fields(Line)), "response", "id")
"""What a line may have."""


def _written_out(found: Mapping[str, Any]) -> dict[str, Any]:
    """A line without `response` and `id`."""
    given = {key: value for key, value in found.items() if key not in ("response", "id")}
    if "response" in found:
        if "responses" in found:
            raise UserError("found response and responses; one of them would be right")
        if not isinstance(found["response"], str):
            raise UserError(
                f"response: found {_told(found['response'])}; the answer as a text would be right"
            )
        given["responses"] = [found["response"]]
    if "id" in found:
        *task, split, index = ["", *str(found["id"]).split("/")]
        if not split or not (index.isascii() and index.isdigit()):
            raise UserError(f"id: found {found['id']!r:.40}; TASK/SPLIT/INDEX would be right")
        named = "/".join(task[1:])
        own = {"split": split, "index": int(index)} | ({"task": named} if named else {})
        for key in own.keys() & given.keys():
            if given[key] != own[key]:
                raise UserError(f"id: found {found['id']!r:.40}, but {key} is {given[key]!r:.40}")
        given |= own
    return given


def _told(value: object) -> str:
    """What a value of JSON is called, or its beginning."""
    known = "an object" if isinstance(value, dict) else "a list" if isinstance(value, list) else ""
    return known or json.dumps(value)[:40]


def _see_texts(given: Mapping[str, Any]) -> None:
    """See that answers, numbers and lists are such."""
    texts, index, answer = given.get("responses"), given.get("index"), given.get("answer")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise UserError("responses: a list of one text or more would be right, or response, a text")
    if len(texts) > MOST_RESPONSES:
        raise UserError(f"responses: found {len(texts)}; at most {MOST_RESPONSES} would be right")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
        raise UserError(f"index: found {index!r:.40}; a whole number from 0 would be right")
    if answer is not None and not isinstance(answer, str):
        raise UserError(f"answer: found {_told(answer)}; the gold answer as text would be right")
    if not isinstance(given.get("truth", {}), dict):
        raise UserError("truth: an object would be right")
    choices = given.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise UserError("choices: a list of texts would be right")
