"""What became of an item, and the file that keeps it as soon as it is known."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vlmloom.pipelines.files import held
from vlmloom.registry.errors import UserError, one_line

FORMAT = 1

Fault = Literal["target", "judge", "task"]
"""Who failed: what was asked, what judges the answer, or what poses the question."""


@dataclass(frozen=True)
class Reply:
    """An answer, and what it cost; or why there is none.

    Attributes:
        text: None where there is no answer.
        seconds: until it was there, further tries and waiting included.
        tokens_in: of the prompt, where they are known.
        tokens_out: of the answer.
        flops: of prompt and answer.
        tries: how often it was asked for.
        cut: whether it ended because it was as long as it may be.
        error: why there is no answer.
    """

    text: str | None
    seconds: float = 0.0
    tokens_in: int | None = None
    tokens_out: int | None = None
    flops: float | None = None
    tries: int = 1
    cut: bool = False
    error: str = ""


@dataclass(frozen=True)
class Item:
    """One evaluated item.

    Attributes:
        split: of the suite.
        category: the task.
        item: index within split and category.
        scene: key of the scene.
        value: from 0 to 1; None where it could not be known, which is no wrong answer.
        response: what was answered; of an episode, its acts, one a line.
        gold: what would have been right.
        reason: the verifier's.
        parts: the verifier's.
        well_formed: whether the answer has the form that was asked for.
        steps: acts of an episode.
        fault: who failed, where `value` is None.
        error: how.
        stopped: browsers that stopped and were started again since the item before it was kept.
        seconds: see `Reply`; so are `tokens_in`, `tokens_out`, `flops`, `tries` and `cut`. Sums over an
            episode, of which any act may be cut.
    """

    split: str
    category: str
    item: int
    scene: str = ""
    value: float | None = None
    response: str | None = None
    gold: str = ""
    reason: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    well_formed: bool = True
    steps: int = 1
    fault: Fault | None = None
    error: str = ""
    stopped: int = 0
    seconds: float = 0.0
    tokens_in: int | None = None
    tokens_out: int | None = None
    flops: float | None = None
    tries: int = 1
    cut: bool = False

    @property
    def place(self) -> tuple[str, str, int]:
        """What tells it from another."""
        return self.split, self.category, self.item


class Kept:
    """The file of a target's items: a line each, on disk before the next is asked for.

    A line that a killed process has left half-written is cut off; the last line of an item is what counts.
    """

    def __init__(self, path: Path, key: dict[str, Any]) -> None:
        """Read what is there.

        Args:
            path: JSON lines.
            key: what the answers depend on; a file of another key is refused.

        Raises:
            UserError: the file holds something else.
        """
        self.path, self.items = path, {}
        head = json.dumps({"format": FORMAT} | key, sort_keys=True)
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole and (found := whole[0].decode(errors="replace").strip()) != head:
            raise UserError(
                f"{path}: holds answers to other questions or of another target: {_differing(found, head)}; "
                "another --out, or without the file, would be right"
            )
        for number, line in enumerate(whole[1:], start=2):
            try:
                item = Item(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise UserError(
                    f"{path}:{number}: not an item ({one_line(error)}); without the line it is asked again"
                ) from None
            self.items[item.place] = item
        self._size, self._head = sum(map(len, whole)), "" if whole else f"{head}\n"

    @contextmanager
    def open(self) -> Iterator[Kept]:
        """Let items be added; one process at a time.

        Raises:
            UserError: another process adds to it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with held(self.path) as mine:
                if mine is False:
                    raise UserError(
                        f"{self.path}: another process is adding to it; another --out would be right"
                    )
                os.ftruncate(handle, self._size)
                os.lseek(handle, self._size, os.SEEK_SET)
                self._handle = handle
                if self._head:
                    self._write(self._head)
                yield self
        finally:
            os.close(handle)

    def add(self, item: Item) -> None:
        """Keep an item; it is on disk when this returns."""
        self._write(json.dumps(asdict(item), allow_nan=False) + "\n")
        self.items[item.place] = item

    def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        while data:
            data = data[os.write(self._handle, data) :]
        os.fdatasync(self._handle)


def _differing(found: str, wanted: str) -> str:
    try:
        one, other = json.loads(found), json.loads(wanted)
        return ", ".join(sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key)))
    except (ValueError, AttributeError):
        return "its first line is no head of answers"
