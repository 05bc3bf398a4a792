"""What tokenizers on the `tokenizers` library share: `EngineTokenizer`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as Engine

from vlmloom.components.contracts.tokenizer import Tokenizer

MARKUP = re.compile(r"<\S+>|\[\S+\]|/nothink")


class EngineTokenizer(Tokenizer):
    """A tokenizer around the library's object, which may come later than it: see `_take`."""

    _engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The library's object.

        Raises:
            RuntimeError: there is none yet.
        """
        if self._engine is None:
            raise RuntimeError(f"{self}: it is not there yet")
        return self._engine

    def _take(self, engine: Engine) -> None:
        self._engine = engine
        for derived in ("controls", "_plain"):
            self.__dict__.pop(derived, None)

    @cached_property
    def controls(self) -> Mapping[str, int]:  # type: ignore[override]
        """Added tokens that are flagged special or look like markup: GLM does not flag all of its own."""
        added = self.engine.get_added_tokens_decoder()
        return {
            token.content: number
            for number, token in sorted(added.items())
            if token.special or MARKUP.fullmatch(token.content)
        }

    @cached_property
    def _plain(self) -> PlainText:
        return PlainText(self.engine, self.controls)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; special tokens written out in it become their ids."""
        return self.engine.encode(text, add_special_tokens=False).ids

    def plain(self, text: str) -> list[int]:
        """The ids of a text in which nothing is a special token."""
        return self._plain(text)

    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ids; an id that stands for nothing gives nothing."""
        return self.engine.decode(list(ids), skip_special_tokens=not keep_special)

    def save(self, file: str | Path) -> None:
        """Write it as `tokenizer.json`, whole or not at all."""
        write_whole(Path(file), self.engine.to_str())

    def __getstate__(self) -> dict[str, object]:
        state = {key: value for key, value in self.__dict__.items() if key not in ("controls", "_plain")}
        state["_engine"] = None if self._engine is None else self._engine.to_str()
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        text = state["_engine"]
        self.__dict__.update(state)
        self._engine = None if text is None else Engine.from_str(str(text))


class PlainText:
    """Encodes text as if there were no control tokens, so that nobody can write one into a prompt.

    Args:
        engine: is left as it is.
        controls: what is never to come out.
    """

    def __init__(self, engine: Engine, controls: Mapping[str, int]) -> None:
        self._engine = Engine.from_str(engine.to_str())
        self._engine.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in controls]
        )
        self._engine.encode_special_tokens = True
        self._forbidden = frozenset(controls.values())
        longest_first = sorted(map(re.escape, controls), key=len, reverse=True)
        self._marks = re.compile("|".join(longest_first) or "(?!)")

    def __call__(self, text: str) -> list[int]:
        """The ids of a text."""
        ids = self._engine.encode(text, add_special_tokens=False).ids
        if self._forbidden.isdisjoint(ids):
            return ids
        # The vocabulary itself holds a control token as a word: it is cut behind its first character.
        found = self._marks.search(text)
        if found is not None and len(text) > 1:
            cut = found.start() + 1
            return self(text[:cut]) + self(text[cut:])
        return [part for letter in text for part in self(letter)] if len(text) > 1 else []


def write_whole(file: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
