"""A user's own pictures: a folder with questions written down."""

from __future__ import annotations

import json
from pathlib import Path

from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.sources import Example, ExampleSource, SourceMissing
from vlmloom.components.media import picture_of
from vlmloom.registry import register

EXAMPLES = "examples.jsonl"


@register("source/folder")
class Folder(ExampleSource):
    """A folder of your own pictures with `examples.jsonl`: one question a line.

    A line is `{"pictures": ["a.jpg"], "question": "what is this?", "answer": "a dog"}`, with a `"caption"`
    where there is one; paths are relative to the folder. A video is a clip; an animation is its first frame
    under `"pictures"`, and a clip under `"clips"`, which are shown after the pictures.

    Args:
        folder: where `examples.jsonl` lies.
        sampling: which frames of a clip are looked at.
    """

    package = "your own folder"
    licence = "yours"

    def __init__(self, *, folder: str, sampling: Sampling = "all") -> None:
        self.folder, self.sampling = Path(folder), sampling
        self._examples: list[Example] | None = None

    def available(self) -> str | None:
        """None where the folder has its `examples.jsonl`."""
        if (self.folder / EXAMPLES).is_file():
            return None
        return f"source/folder: {self.folder / EXAMPLES} is not there; write one question a line into it"

    def prepare(self) -> None:
        """Read every line; pictures stay closed."""
        self.load()

    def load(self) -> list[Example]:
        """Every example.

        Raises:
            SourceMissing: the file is not there.
            ValueError: a line is not an example; the message names it.
        """
        if self._examples is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            file = self.folder / EXAMPLES
            lines = file.read_text(encoding="utf-8").splitlines()
            self._examples = [
                self._example(line, f"{file}:{number}")
                for number, line in enumerate(lines, 1)
                if line.strip()
            ]
            if not self._examples:
                raise ValueError(f"{file}: is empty; it needs at least one example")
        return self._examples

    def _example(self, line: str, origin: str) -> Example:
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{origin}: is no JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(record, dict):
            raise ValueError(f"{origin}: is a {type(record).__name__}, but an example is an object")
        known = {"pictures": list, "clips": list, "question": str, "answer": str, "caption": str}
        for key, value in record.items():
            if key not in known:
                raise ValueError(f"{origin}: unknown key {key!r}; an example has {', '.join(known)}")
            if not isinstance(value, known[key]):
                raise ValueError(f"{origin}: {key} is {value!r}, but should be a {known[key].__name__}")
        for key in ("question", "answer"):
            if not record.get(key, "").strip():
                raise ValueError(f"{origin}: {key} is missing")
        pictures = []
        for key in ("pictures", "clips"):
            names = record.get(key, [])
            if not all(isinstance(name, str) for name in names):
                raise ValueError(f"{origin}: {key} is {names!r}, but should be a list of file names")
            pictures += [
                picture_of(self.folder / name, clip=key == "clips", sampling=self.sampling) for name in names
            ]
        return Example(
            tuple(pictures), record["question"], record["answer"], record.get("caption", ""), origin
        )
