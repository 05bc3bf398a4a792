"""A byte-level BPE that is trained on a suite's own text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Engine

from vlmloom.components.contracts.marks import GLM_TOKENS
from vlmloom.components.contracts.processor import lead
from vlmloom.components.tokenizer.engine import EngineTokenizer
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
"""What a prompt of one turn needs, by GLM's names."""

EVERY_SPECIAL = (*SPECIAL, *(token for token in GLM_TOKENS if token not in SPECIAL))
"""All of GLM's names: reasoning, tools, clips and boxes too."""

# A word keeps the space before it; every digit, and every mark of a box, stands alone.
PIECES = r" ?\p{L}+|\p{N}| ?\[|[\],;]| ?[^\s\p{L}\p{N}\[\],;]+|\s+"


@register("tokenizer/bpe")
class BPE(EngineTokenizer):
    """Byte-level BPE with digits split one by one and GLM's special tokens.

    It is empty until it is trained (`train`) or read (`file`, `from_file`).

    Args:
        vocab: the number of ids; at least 256 bytes and the special tokens.
        file: a `tokenizer.json` to start from; it says itself which special tokens it has.
        special: which special tokens it learns: `chat`, what one turn of question and answer needs
            (`processor/chat`), or `glm`, all that GLM has (`processor/glm_chat`).
    """

    leads = True

    def __init__(
        self, *, vocab: int = 1024, file: str | None = None, special: Literal["chat", "glm"] = "chat"
    ) -> None:
        self._specials = SPECIAL if special == "chat" else EVERY_SPECIAL
        if vocab < 256 + len(self._specials):
            raise ValueError(
                f"tokenizer/bpe: vocab is {vocab}, "
                f"but bytes and special tokens take {256 + len(self._specials)}"
            )
        self.vocab = vocab
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
            special_tokens=[AddedToken(token, special=True, normalized=False) for token in self._specials],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        # Identical lines are counted once each: the counts of a sample of tasks say nothing about words.
        engine.train_from_iterator(sorted({lead(text) for text in texts}), trainer)
        self._take(engine)
        return self

    def train_cached(self, texts: Iterable[str], folder: Path) -> BPE:
        """`train`, or read what the same texts and settings gave before; `folder` keeps the files."""
        lines = sorted({lead(text) for text in texts})
        digest = hashlib.sha256(
            "\n".join([f"1 {self.vocab} {PIECES}", *self._specials, *lines]).encode()
        ).hexdigest()[:16]
        file = folder / f"tokenizer-bpe-{digest}.json"
        if file.is_file():
            try:
                self._take(_engine(file))
                return self
            except ValueError:
                pass  # Damaged: it is made again below.
        self.train(lines)
        self.save(file)
        return self

    def _read(self, file: Path) -> None:
        self._take(_engine(file))
        self.vocab = self.engine.get_vocab_size()

    @property
    def engine(self) -> Engine:
        """The library's object.

        Raises:
            RuntimeError: it is not trained yet.
        """
        if self._engine is None:
            raise RuntimeError("tokenizer/bpe: train it on a suite's text, or give file=tokenizer.json")
        return self._engine

    def __str__(self) -> str:
        return "tokenizer/bpe"


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
