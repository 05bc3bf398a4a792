"""The tokenizer of a Hugging Face checkpoint, from its own folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Engine

from vlmloom.components.tokenizer.engine import EngineTokenizer, write_whole
from vlmloom.registry import register

ENGINE = "tokenizer.json"
CONFIG = "tokenizer_config.json"
SPECIAL_MAP = "special_tokens_map.json"
TEMPLATE = "chat_template.jinja"
OLD_TEMPLATE = "chat_template.json"
GENERATION = "generation_config.json"


@register("tokenizer/hf")
class HF(EngineTokenizer):
    """The tokenizer of a Hugging Face checkpoint: `tokenizer.json` and what lies beside it.

    Special tokens that only `tokenizer_config.json` or `special_tokens_map.json` name are added as
    transformers adds them, and an id that a file states has to be the id that comes out. The folder is read
    on first use.

    Args:
        folder: of the checkpoint.

    Attributes:
        chat_template: the folder's template for conversations (Jinja), or None.
        processor_class: which of transformers' processors the folder was made for, or empty.
        stops: the ids that end an answer by `generation_config.json`; none where it does not say.
    """

    trained = True

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self._chat_template: str | None = None
        self._processor_class = ""
        self._stops: tuple[int, ...] = ()
        self._beside: dict[str, Mapping[str, Any]] = {}

    @classmethod
    def from_file(cls, file: str | Path) -> HF:
        """The tokenizer in the folder of this `tokenizer.json`.

        Raises:
            ValueError: the folder does not hold one.
        """
        tokenizer = cls(folder=str(Path(file).parent))
        tokenizer.dry_run()
        return tokenizer

    def dry_run(self) -> None:
        """Read the folder, so that what is wrong with it is told before anything runs.

        Raises:
            ValueError: what is wrong.
        """
        _ = self.engine

    @property
    def engine(self) -> Engine:
        """The library's object.

        Raises:
            ValueError: the folder does not hold one; the message says what is missing or broken.
        """
        if self._engine is None:
            self._read()
        return super().engine

    @cached_property
    def vocab(self) -> int:  # type: ignore[override]
        """One more than the largest id."""
        return max(self.engine.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def chat_template(self) -> str | None:
        """The folder's template for conversations (Jinja), or None."""
        _ = self.engine
        return self._chat_template

    @property
    def processor_class(self) -> str:
        """Which of transformers' processors the folder was made for; empty where it does not say."""
        _ = self.engine
        return self._processor_class

    @property
    def stops(self) -> tuple[int, ...]:
        """The ids that end an answer by `generation_config.json`; none where it does not say."""
        _ = self.engine
        return self._stops

    def save(self, file: str | Path) -> None:
        """Write `tokenizer.json`, and beside it what the folder says of tokens, conversations and stops."""
        super().save(file)
        beside = Path(file).parent
        if self.chat_template is not None:
            write_whole(beside / TEMPLATE, self.chat_template)
        for name, content in self._beside.items():
            if content:
                write_whole(beside / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def __str__(self) -> str:
        return f"tokenizer/hf: {self.folder}"

    def _read(self) -> None:
        if not self.folder.is_dir():
            raise ValueError(f"{self}: there is no such folder")
        file = self.folder / ENGINE
        if not file.is_file():
            others = [name for name in ("tokenizer.model", "vocab.json") if (self.folder / name).is_file()]
            found = f"{' and '.join(others)} but no {ENGINE}" if others else f"no {ENGINE}"
            raise ValueError(f"{self}: holds {found}; the folder of a checkpoint with one would be right")
        try:
            engine = Engine.from_file(str(file))
        except Exception as error:  # The library raises plain Exception.
            said = " ".join(str(error).split())
            raise ValueError(f"tokenizer/hf: {file}: is no tokenizer ({said})") from None
        config, special = self._json(CONFIG), self._json(SPECIAL_MAP)
        for name, named in ((CONFIG, config), (SPECIAL_MAP, special)):
            try:
                tokens = list(_named(named))
            except (TypeError, ValueError, KeyError, AttributeError):
                where = f"tokenizer/hf: {self.folder / name}"
                raise ValueError(f"{where}: its special tokens are not as transformers writes them") from None
            self._add(engine, tokens)
        self._chat_template = self._template(config)
        self._processor_class = str(config.get("processor_class") or "")
        generation = self._json(GENERATION)
        self._stops = self._ends(generation)
        kept = {key: value for key, value in {**special, **config}.items() if key != "chat_template"}
        self._beside = {CONFIG: kept, GENERATION: generation}
        self._take(engine)

    def _add(self, engine: Engine, named: list[tuple[AddedToken, int | None]]) -> None:
        for token, stated in named:
            if engine.token_to_id(token.content) is None:
                engine.add_tokens([token])
            found = engine.token_to_id(token.content)
            if stated is not None and found != stated:
                raise ValueError(
                    f"{self}: {CONFIG} says that {token.content} is {stated}, but by {ENGINE} it is {found}"
                )

    def _ends(self, generation: Mapping[str, Any]) -> tuple[int, ...]:
        """`eos_token_id`, one id or several."""
        found = generation.get("eos_token_id")
        ids = found if isinstance(found, list) else [] if found is None else [found]
        if not all(type(one) is int and one >= 0 for one in ids):
            raise ValueError(
                f"tokenizer/hf: {self.folder / GENERATION}: eos_token_id is {found!r}; "
                "an id or a list of ids would be right"
            )
        return tuple(ids)

    def _json(self, name: str) -> Mapping[str, Any]:
        file = self.folder / name
        if not file.is_file():
            return {}
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ValueError(f"tokenizer/hf: {file}: is no JSON ({error})") from None
        if not isinstance(found, dict):
            raise ValueError(f"tokenizer/hf: {file}: holds {type(found).__name__}, an object would be right")
        return found

    def _template(self, config: Mapping[str, Any]) -> str | None:
        file = self.folder / TEMPLATE
        if file.is_file():
            try:
                return file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise ValueError(f"tokenizer/hf: {file}: is no UTF-8 text") from None
        found = config.get("chat_template") or self._json(OLD_TEMPLATE).get("chat_template")
        if isinstance(found, list):
            by_name = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
            found = by_name.get("default")
        return found if isinstance(found, str) else None


def _named(config: Mapping[str, Any]) -> Iterator[tuple[AddedToken, int | None]]:
    """The special tokens that a file names, with their ids where it states them."""
    stated = config.get("added_tokens_decoder")
    for number, entry in sorted((stated or {}).items(), key=lambda pair: int(pair[0])):
        yield _token(entry), int(number)
    entries = [value for key, value in config.items() if key.endswith("_token")]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        found = config.get(key) or []
        entries.extend(found.values() if isinstance(found, dict) else found)
    for entry in entries:
        if isinstance(entry, str | dict) and entry:
            yield _token(entry, special=True), None


def _token(entry: str | Mapping[str, Any], special: bool = False) -> AddedToken:
    if isinstance(entry, str):
        return AddedToken(entry, special=special, normalized=False)
    flags = {key: bool(entry.get(key)) for key in ("lstrip", "rstrip", "single_word", "normalized")}
    return AddedToken(entry["content"], special=bool(entry.get("special", special)), **flags)
