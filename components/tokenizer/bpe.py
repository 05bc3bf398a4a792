"""A byte-level BPE that is trained on a suite's own text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Engine

from vlmloom.components.contracts.kinds import Tokenizer
from vlmloom.components.contracts.processor import lead
from vlmloom.registry import register

SPECIAL = (
    "<|endoftext|>",
    "<|pad|>",
    "<|image|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|user|>",
    "<|assistant|>",
)
"""GLM's names."""

# A word keeps the space before it; every digit, and every mark of a box, stands alone.
PIECES = r" ?\p{L}+|\p{N}| ?\[|[\],;]| ?[^\s\p{L}\p{N}\[\],;]+|\s+"


@register("tokenizer/bpe")
class BPE(Tokenizer):
    """Byte-level BPE with digits split one by one and GLM's special tokens.

    It is empty until it is trained (`train`) or read (`file`, `from_file`).

    Args:
        vocab: the number of ids; at least 256 bytes and the special tokens.
        file: a `tokenizer.json` to start from.
    """

    def __init__(self, *, vocab: int = 1024, file: str | None = None) -> None:
        if vocab < 256 + len(SPECIAL):
            raise ValueError(
                f"tokenizer/bpe: vocab is {vocab}, but bytes and special tokens take {256 + len(SPECIAL)}"
            )
        self.vocab = vocab
        self._engine: Engine | None = None
        if file is not None:
            self._read(Path(file))

    @classmethod
    def from_file(cls, file: str | Path) -> BPE:
        """A tokenizer as saved; `vocab` is what the file holds.

        Raises:
            ValueError: the file is not one, or lacks a special token.
        """
        tokenizer = cls()
        tokenizer._read(Path(file))
        return tokenizer

    @property
    def trained(self) -> bool:
        """Whether it knows any words yet."""
        return self._engine is not None

    def train(self, texts: Iterable[str]) -> BPE:
        """Learn the merges from texts; the same texts give the same ids."""
        engine = Engine(models.BPE())
        engine.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        engine.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab,
            min_frequency=1,
            special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        # Identical lines are counted once each: the counts of a sample of tasks say nothing about words.
        engine.train_from_iterator(sorted({lead(text) for text in texts}), trainer)
        self._engine = engine
        return self

    def train_cached(self, texts: Iterable[str], folder: Path) -> BPE:
        """`train`, or read what the same texts and settings gave before; `folder` keeps the files."""
        lines = sorted({lead(text) for text in texts})
        digest = hashlib.sha256(
            "\n".join([f"1 {self.vocab} {PIECES}", *SPECIAL, *lines]).encode()
        ).hexdigest()[:16]
        file = folder / f"tokenizer-bpe-{digest}.json"
        if file.is_file():
            try:
                self._engine = _engine(file)
                return self
            except ValueError:
                pass  # Damaged: it is made again below.
        self.train(lines)
        self.save(file)
        return self

    def save(self, file: str | Path) -> None:
        """Write it as `tokenizer.json`, whole or not at all."""
        file = Path(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with part.open("w", encoding="utf-8") as stream:
                stream.write(self.engine.to_str())
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def _read(self, file: Path) -> None:
        self._engine = _engine(file)
        self.vocab = self._engine.get_vocab_size()

    @property
    def engine(self) -> Engine:
        """The library's object.

        Raises:
            RuntimeError: it is not trained yet.
        """
        if self._engine is None:
            raise RuntimeError("tokenizer/bpe: train it on a suite's text, or give file=tokenizer.json")
        return self._engine

    def encode(self, text: str) -> list[int]:
        """The ids of a text; special tokens written out in it become their ids."""
        return self.engine.encode(text).ids

    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ids."""
        return self.engine.decode(list(ids), skip_special_tokens=not keep_special)

    def special(self, token: str) -> int:
        """The id of a special token.

        Raises:
            KeyError: there is no such token.
        """
        found = self.engine.token_to_id(token)
        if found is None or token not in SPECIAL:
            raise KeyError(f"tokenizer/bpe has no special token {token!r}; it has {', '.join(SPECIAL)}")
        return found

    def __getstate__(self) -> dict[str, object]:
        state = dict(self.__dict__)
        state["_engine"] = None if self._engine is None else self._engine.to_str()
        return state

    def __setstate__(self, state: dict[str, object]) -> None:
        text = state["_engine"]
        self.__dict__.update(state)
        self._engine = None if text is None else Engine.from_str(str(text))


def _engine(file: Path) -> Engine:
    if not file.is_file():
        raise ValueError(f"tokenizer/bpe: {file}: there is no such file")
    try:
        engine = Engine.from_file(str(file))
    except Exception as error:  # The library raises plain Exception.
        raise ValueError(f"tokenizer/bpe: {file}: is no tokenizer.json ({error})") from None
    missing = [token for token in SPECIAL if engine.token_to_id(token) is None]
    if missing:
        raise ValueError(f"tokenizer/bpe: {file}: lacks the special tokens {' '.join(missing)}")
    return engine
