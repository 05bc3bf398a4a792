"""Pieces of a prompt, pictures and grids to tokens, labels and layout: `Assembler`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby

from vlmloom.components.contracts.packed import IGNORE, Layout, Span
from vlmloom.components.contracts.processor import Encoded, lead
from vlmloom.components.contracts.sample import Picture
from vlmloom.components.contracts.tokenizer import Tokenizer
from vlmloom.components.contracts.visuals import Grid
from vlmloom.components.processor.clips import is_clip, stamps
from vlmloom.components.processor.glm_template import Release
from vlmloom.components.processor.loss_mask import Marked

PLACEHOLDERS = ("<|image|>", "<|video|>")


class Assembler:
    """Turns pieces of text into tokens, with the visual tokens of pictures where their placeholders stand.

    Args:
        tokenizer: whose ids.
        release: how the times of a clip are written.
        restore: applied to every text before it is encoded.
        cached_texts: how many encoded texts are remembered.
    """

    def __init__(
        self, tokenizer: Tokenizer, release: Release, restore: Callable[[str], str], cached_texts: int
    ) -> None:
        self.tokenizer, self.release, self.restore, self.cached_texts = (
            tokenizer,
            release,
            restore,
            cached_texts,
        )
        self._known = frozenset((*tokenizer.controls, *PLACEHOLDERS))
        self._prepare()

    def _prepare(self) -> None:
        self._text = lru_cache(self.cached_texts)(self._encode_text)

    def build(
        self, pieces: Iterable[Marked], pictures: Sequence[Picture], grids: Sequence[Grid], *, labelled: bool
    ) -> Encoded:
        """The sequence of a prompt that was cut into pieces.

        Text is encoded in the longest stretches that lie between control tokens, except that a stretch ends
        where an assistant's turn has opened and where labels begin or end: what is trained on then has the
        ids that the model will see when it writes.

        Args:
            pieces: in order.
            pictures: one a placeholder.
            grids: merged grids, one a picture.
            labelled: whether trained pieces have labels.

        Raises:
            ValueError: the placeholders do not fit the pictures.
        """
        pieces, controls = list(pieces), self.tokenizer.controls
        found = [piece.text for piece in pieces if piece.control and piece.text in PLACEHOLDERS]
        if len(found) != len(pictures):
            raise ValueError(
                f"the prompt has {len(found)} placeholders, but {len(pictures)} pictures or clips were given"
            )
        sequence, shown = _Sequence(controls["<|image|>"]), 0
        for (known, trained, _), run in groupby(pieces, self._kind):
            if not known:
                text = self.restore("".join(piece.text for piece in run))
                sequence.add(self._text(text), trained and labelled)
                continue
            for piece in run:
                if piece.text in PLACEHOLDERS:
                    self._picture(sequence, piece.text, shown, pictures[shown], grids[shown])
                    shown += 1
                else:
                    sequence.add([controls[piece.text]], trained and labelled)
        return sequence.done()

    def from_ids(self, ids: Sequence[int], grids: Sequence[Grid]) -> Encoded:
        """See `ConversationProcessor.encode_ids`."""
        vocab, image = self.tokenizer.vocab, self.tokenizer.special("<|image|>")
        sequence, rest, place = _Sequence(image), list(grids), 0
        while place < len(ids):
            if not 0 <= ids[place] < vocab:
                raise ValueError(
                    f"the prompt: id {ids[place]} at position {place} is outside the vocabulary of "
                    f"{vocab} ids (0 to {vocab - 1})"
                )
            run = 0
            while place + run < len(ids) and ids[place + run] == image:
                run += 1
            if not run:
                sequence.add([ids[place]], False)
            elif not rest or rest[0][0] * rest[0][1] * rest[0][2] != run:
                expected = (
                    f"a grid of {' x '.join(map(str, rest[0]))} was given" if rest else "no grid is left"
                )
                raise ValueError(f"the prompt: {run} image placeholders at position {place}, but {expected}")
            else:
                sequence.picture(rest.pop(0))
            place += max(run, 1)
        if rest:
            used = len(grids) - len(rest)
            raise ValueError(
                f"the prompt has placeholders for {used} grids, but {len(grids)} grids were given"
            )
        return sequence.done()

    def _kind(self, piece: Marked) -> tuple[bool, bool, bool]:
        """Whether a piece is one token, and what else ends a stretch of text."""
        return piece.control and piece.text in self._known, piece.trained, piece.opening

    def _picture(
        self, sequence: _Sequence, placeholder: str, place: int, picture: Picture, grid: Grid
    ) -> None:
        if is_clip(picture) != (placeholder == "<|video|>"):
            kind = "a clip" if is_clip(picture) else "a still"
            raise ValueError(f"placeholder {place + 1} is {placeholder}, but picture {place + 1} is {kind}")
        if placeholder == "<|image|>":
            sequence.picture(grid)
            return
        for stamp in stamps(picture, grid[0], self.release):
            sequence.add([self.tokenizer.special("<|begin_of_image|>")], False)
            sequence.picture((1, grid[1], grid[2]))
            sequence.add([self.tokenizer.special("<|end_of_image|>"), *self._text(stamp)], False)

    def _encode_text(self, text: str) -> tuple[int, ...]:
        plain = self.tokenizer.plain
        if not self.tokenizer.leads:
            return tuple(plain(text))
        rest = text.lstrip("\n")
        return (*plain(text[: len(text) - len(rest)]), *plain(lead(rest)))

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_text"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._prepare()


class _Sequence:
    """Collects the parts of an `Encoded` from left to right."""

    def __init__(self, image: int) -> None:
        self._image = image
        self._ids: list[int] = []
        self._labels: list[int] = []
        self._layout: Layout = []
        self._visual: list[int] = []
        self._text_from = 0

    def add(self, ids: Sequence[int], trained: bool) -> None:
        """Text or control tokens."""
        self._ids.extend(ids)
        self._labels.extend(ids if trained else [IGNORE] * len(ids))

    def picture(self, grid: Grid) -> None:
        """The visual tokens of a picture, or of one frame of a clip."""
        self._close_text()
        start, tokens = len(self._ids), grid[0] * grid[1] * grid[2]
        self._ids.extend([self._image] * tokens)
        self._labels.extend([IGNORE] * tokens)
        self._visual.extend(range(start, start + tokens))
        self._layout.append(Span(tokens, grid))
        self._text_from = len(self._ids)

    def done(self) -> Encoded:
        """What was collected."""
        self._close_text()
        return Encoded(self._ids, self._labels, self._layout, self._visual)

    def _close_text(self) -> None:
        if len(self._ids) > self._text_from:
            self._layout.append(Span(len(self._ids) - self._text_from))
            self._text_from = len(self._ids)
