"""`Guard`: what others wrote stays text, while a template is rendered around it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

Piece = tuple[str, bool]
"""A stretch of a rendered prompt, and whether it is a control token."""


class Guard:
    """Hides control tokens in what others wrote, and finds those that a template wrote.

    A user who types `<|assistant|>` must not end up with the control token of that name. Before rendering,
    every mark in foreign text is replaced by letters and digits that nobody can guess (`protect`); the
    template sees text that it may strip, join or write as JSON. In what it renders, the marks that are left
    are its own (`split`), and the text between them gets its letters back (`restore`).

    Args:
        marks: the control tokens, and whatever else a template writes as markup.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self._marks = sorted(set(marks), key=len, reverse=True)
        self._nonce = secrets.token_hex(8)
        self._find = re.compile("|".join(map(re.escape, self._marks)) or "(?!)")
        self._hidden = re.compile(rf"{self._nonce}x(\d+)x")

    def protect(self, value: Any) -> Any:
        """A text, or JSON with texts in it, in which no mark is left."""
        if isinstance(value, str):
            return self._find.sub(lambda found: f"{self._nonce}x{self._marks.index(found[0])}x", value)
        if isinstance(value, dict):
            return {self.protect(key): self.protect(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self.protect(part) for part in value]
        return value

    def restore(self, text: str) -> str:
        """A protected text as it was."""
        if self._nonce not in text:
            return text
        return self._hidden.sub(lambda found: self._marks[int(found[1])], text)

    def split(self, text: str) -> Iterator[Piece]:
        """A text cut at its marks; of two that begin together the longer counts."""
        start = 0
        for found in self._find.finditer(text):
            if found.start() > start:
                yield text[start : found.start()], False
            yield found[0], True
            start = found.end()
        if start < len(text):
            yield text[start:], False
