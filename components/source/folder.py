"""A user's own pictures: a folder with questions or captions written down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.sources import Example, ExampleSource, SourceMissing
from vlmloom.components.media import picture_of
from vlmloom.registry import register
from vlmloom.registry.errors import BadInput

EXAMPLES, CAPTIONS = "examples.jsonl", "captions.jsonl"
EXAMPLE = {"pictures": list, "clips": list, "question": str, "answer": str, "caption": str}
CAPTION = {"image": str, "text": str, "language": str}
ENGLISH = "en"
DESCRIBE = "what is in the picture?"
"""What a caption is taken as the answer to where questions are asked."""


@register("source/folder")
class Folder(ExampleSource):
    """A folder of your own pictures with `examples.jsonl`, one question a line, or `captions.jsonl`, or both.

    A line is `{"pictures": ["a.jpg"], "question": "what is this?", "answer": "a dog"}`, with a `"caption"`
    where there is one; paths are relative to the folder. A video is a clip; an animation is its first frame
    under `"pictures"`, and a clip under `"clips"`, which are shown after the pictures.

    A caption is `{"image": "a.jpg", "text": "ein Hund", "language": "de"}`, in English where no language is
    given. Lines of one picture in several languages are one example, of which a training draws one; a second
    line in the same language is another example.

    Args:
        folder: where the files lie.
        sampling: which frames of a clip are looked at.
    """

    package = "your own folder"
    licence = "yours"

    def __init__(self, *, folder: str, sampling: Sampling = "all") -> None:
        self.folder, self.sampling = Path(folder), sampling
        self._examples: list[Example] | None = None

    def available(self) -> str | None:
        """None where the folder has one of its two files."""
        if any((self.folder / name).is_file() for name in (EXAMPLES, CAPTIONS)):
            return None
        return (
            f"source/folder: {self.folder / EXAMPLES} is not there; write one question a line into it, or "
            f"one caption a line into {CAPTIONS}"
        )

    def prepare(self) -> None:
        """Read every line; pictures stay closed."""
        self.load()

    def load(self) -> list[Example]:
        """Every example.

        Raises:
            SourceMissing: the file is not there.
            BadInput: a line is not an example; the message names it.
        """
        if self._examples is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            questions = [
                self._example(record, origin)
                for record, origin in _records(self.folder / EXAMPLES, EXAMPLE, ("question", "answer"))
            ]
            self._examples = questions + self._captioned()
        return self._examples

    def _captioned(self) -> list[Example]:
        """One example for every picture with captions, in the order of the file."""
        found: list[tuple[str, dict[str, str], str]] = []
        open_: dict[str, dict[str, str]] = {}
        for record, origin in captions_in(self.folder / CAPTIONS):
            image, language = record["image"], record.get("language", ENGLISH)
            captions = open_.get(image)
            if captions is None or language in captions:
                captions = open_[image] = {}
                found.append((image, captions, origin))
            captions[language] = record["text"].strip()
        return [
            Example(
                (picture_of(self.folder / image, sampling=self.sampling),),
                DESCRIBE,
                next(iter(captions.values())),
                next(iter(captions.values())),
                origin,
                captions,
            )
            for image, captions, origin in found
        ]

    def _example(self, record: dict[str, Any], origin: str) -> Example:
        pictures = []
        for key in ("pictures", "clips"):
            names = record.get(key, [])
            if not all(isinstance(name, str) for name in names):
                raise BadInput(f"{origin}: {key} is {names!r}, but should be a list of file names")
            pictures += [
                picture_of(self.folder / name, clip=key == "clips", sampling=self.sampling) for name in names
            ]
        caption = record.get("caption", "").strip()
        captions = {ENGLISH: caption} if caption else {}
        return Example(tuple(pictures), record["question"], record["answer"], caption, origin, captions)


def captions_in(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The lines `{"image", "text", "language"}` of a file of captions, and where each stands.

    Raises:
        BadInput: a line is broken, or the file has none.
    """
    return _records(file, CAPTION, ("image", "text"))


def _records(
    file: Path, known: Mapping[str, type], needed: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a file's lines, and where each stands; nothing where there is no such file.

    Raises:
        BadInput: a line is broken, or the file has none.
    """
    if not file.is_file():
        return
    what = "a caption" if known is CAPTION else "an example"
    none = True
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as fault:
        raise BadInput(f"{file}: is not UTF-8 (byte {fault.start}); text would be right") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        none, origin = False, f"{file}:{number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{origin}: is no JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(record, dict):
            raise BadInput(f"{origin}: is a {type(record).__name__}, but {what} is an object")
        for key, value in record.items():
            if key not in known:
                raise BadInput(f"{origin}: unknown key {key!r}; {what} has {', '.join(known)}")
            if not isinstance(value, known[key]):
                raise BadInput(f"{origin}: {key} is {value!r}, but should be a {known[key].__name__}")
        for key in needed:
            if not record.get(key, "").strip():
                raise BadInput(f"{origin}: {key} is missing")
        yield record, origin
    if none:
        raise BadInput(f"{file}: is empty; it needs at least one {what.split()[1]}")
