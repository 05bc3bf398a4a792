"""The contract of the kind `tokenizer`: text to ids and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence


class Tokenizer(ABC):
    """Text to ids and back.

    Attributes:
        vocab: the number of ids.
        controls: the special tokens and their ids; whatever else an id stands for is plain text.
        leads: whether its words hold the space before them at the start of a text too (see `processor.lead`).
    """

    vocab: int
    controls: Mapping[str, int]
    leads: bool = False

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text; special tokens written out in it become their ids."""

    @abstractmethod
    def plain(self, text: str) -> list[int]:
        """The ids of a text in which nothing is a special token, whatever it says: for what others wrote."""

    @abstractmethod
    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ids."""

    def special(self, token: str) -> int:
        """The id of a special token, e.g. `<|image|>`.

        Raises:
            KeyError: there is no such token.
        """
        if token not in self.controls:
            raise KeyError(f"{self} has no special token {token!r}; it has {', '.join(self.controls)}")
        return self.controls[token]
