"""`TextStream`: the text of tokens that arrive a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

HALF = "�"
"""What a decoder writes for bytes that are no character, or not yet."""


class TextStream:
    """Turns ids into pieces of text that never hold half a character; together they are the whole text.

    A character of several bytes may be spread over several tokens: it is held back until it is whole.
    White space around the text is dropped.

    Args:
        decode: ids to text, such as `Tokenizer.decode`.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        # Ids from `_start` on are decoded together, so that a decoder sees what stands before a piece; the
        # first `_told` of them have been given.
        self._ids: list[int] = []
        self._start = self._told = 0
        self._space = ""
        self._begun = False

    def push(self, ids: Sequence[int]) -> str:
        """Add ids; gives the text that has become certain, which may be none."""
        self._ids.extend(ids)
        return self._give(self._fresh(held_back=True))

    def close(self) -> str:
        """The rest; half a character at the end comes out as the decoder writes it."""
        return self._give(self._fresh(held_back=False))

    def _fresh(self, held_back: bool) -> str:
        told = self._decode(self._ids[self._start : self._told])
        now = self._decode(self._ids[self._start :])
        if len(now) <= len(told) or (held_back and now.endswith(HALF)):
            return ""
        self._start, self._told = self._told, len(self._ids)
        return now[len(told) :]

    def _give(self, text: str) -> str:
        text = self._space + text
        if not self._begun:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        self._begun = self._begun or bool(kept)
        return kept
