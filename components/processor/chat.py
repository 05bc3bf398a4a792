"""GLM's turn format: a user's text and pictures, then the assistant's answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from vlmloom.components.contracts.packed import IGNORE, Layout, Span
from vlmloom.components.contracts.processor import Encoded, Processor, lead
from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.tokenizer import Tokenizer
from vlmloom.components.contracts.visuals import Grid
from vlmloom.registry import register


@register("processor/chat")
class Chat(Processor):
    """User turn with pictures, assistant turn with the answer, in GLM's special tokens.

    A picture becomes `<|begin_of_image|>`, one `<|image|>` a visual token, `<|end_of_image|>`; a clip becomes
    one such block for each of its merged frames. Only the answer and the end token are trained on.

    Args:
        tokenizer: a trained one.
        pictures: `tokens` puts visual tokens where pictures stand; `withheld` puts nothing; `caption` puts
            the caption in their place, once.
        cached_texts: how many encoded texts are remembered.

    Reference: transformers/models/glm4v/processing_glm4v.py
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        pictures: str = "tokens",
        cached_texts: int = 65536,
    ) -> None:
        if pictures not in ("tokens", "withheld", "caption"):
            raise ValueError(
                f"processor/chat: pictures is {pictures!r}, but may be tokens, withheld or caption"
            )
        self.tokenizer = tokenizer
        self.pictures = pictures
        self.cached_texts = cached_texts
        self._prepare()

    def _prepare(self) -> None:
        special = self.tokenizer.special
        self.user = special("<|user|>")
        self.assistant = special("<|assistant|>")
        self.end = special("<|endoftext|>")
        self.image = special("<|image|>")
        self.begin_image = special("<|begin_of_image|>")
        self.end_image = special("<|end_of_image|>")
        self.stops = (self.end,)
        controls = self.tokenizer.controls
        self.never = tuple(controls[token] for token in ("<|image|>", "<|pad|>") if token in controls)
        plain = self.tokenizer.plain
        self._text = lru_cache(self.cached_texts)(lambda text: tuple(plain(lead(text))))

    def encode(self, sample: Sample, grids: Sequence[Grid], *, prompt_only: bool = False) -> Encoded:
        """The sample as tokens.

        Args:
            sample: what is asked and answered.
            grids: merged grids (frames, rows, columns), one a picture, where pictures are tokens.
            prompt_only: stop after `<|assistant|>`, for inference.

        Raises:
            ValueError: there are not as many grids as pictures.
        """
        ids = [self.user]
        layout: Layout = []
        visual: list[int] = []
        text_from = 0

        def cut(grid: Grid) -> None:
            nonlocal text_from
            if len(ids) > text_from:
                layout.append(Span(len(ids) - text_from))
            start, tokens = len(ids), grid[1] * grid[2]
            ids.extend([self.image] * tokens)
            visual.extend(range(start, start + tokens))
            layout.append(Span(tokens, grid))
            text_from = len(ids)

        for part in self._parts(sample, grids):
            if isinstance(part, str):
                ids.extend(self._text(part))
                continue
            for _ in range(part[0]):
                ids.append(self.begin_image)
                cut((1, part[1], part[2]))
                ids.append(self.end_image)
        ids.append(self.assistant)
        labels = [IGNORE] * len(ids)
        if not prompt_only:
            answer = [*self._text(sample.answer), self.end]
            ids.extend(answer)
            labels.extend(answer)
        layout.append(Span(len(ids) - text_from))
        return Encoded(ids, labels, layout, visual)

    def length(self, sample: Sample, grids: Sequence[Grid]) -> int:
        """`len(encode(sample, grids))`, without building it."""
        total = 3 + len(self._text(sample.answer))
        for part in self._parts(sample, grids):
            total += len(self._text(part)) if isinstance(part, str) else part[0] * (part[1] * part[2] + 2)
        return total

    def _parts(self, sample: Sample, grids: Sequence[Grid]) -> list[str | Grid]:
        """The prompt with each picture replaced by its grid, by the caption, or by nothing."""
        parts: list[str | Grid] = []
        rest = iter(grids)
        pictures = 0
        for part in sample.prompt:
            if isinstance(part, str):
                parts.append(part)
                continue
            pictures += 1
            if self.pictures == "tokens":
                grid = next(rest, None)
                if grid is not None:
                    parts.append(grid)
            elif self.pictures == "caption" and pictures == 1:
                parts.append(sample.caption + ".")
        if self.pictures == "tokens" and pictures != len(grids):
            raise ValueError(
                f"{sample.task} {sample.index}: has {pictures} pictures, but {len(grids)} grids were given"
            )
        return parts

    def answer(self, ids: Sequence[int]) -> str:
        """The text of generated ids, up to the end token."""
        ids = list(ids)
        if self.end in ids:
            ids = ids[: ids.index(self.end)]
        return self.tokenizer.decode(ids).strip()

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "_text"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._prepare()
