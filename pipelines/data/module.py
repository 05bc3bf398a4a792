"""Where samples come from: a suite, a tokenizer and a processor, packed for an assembly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.processor import Processor
from vlmloom.components.contracts.resizing import Resolution
from vlmloom.components.contracts.sample import describe
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.contracts.tokenizer import Tokenizer
from vlmloom.components.media.cache_root import cache_root
from vlmloom.pipelines.data.captions import ENGLISH, CaptionView
from vlmloom.pipelines.data.packing import Draw, PackSampler
from vlmloom.pipelines.data.preferences import PreferenceView
from vlmloom.pipelines.data.views import Drawn, PictureView, SceneView, View
from vlmloom.registry import register
from vlmloom.registry.errors import UserError, one_line

CORPUS_ITEMS = 4000
"""How many training items a tokenizer learns its words from."""


class Items(Dataset):
    """A view as a map-style dataset: a pure function of the index."""

    def __init__(self, seen: View) -> None:
        self.seen = seen

    def __getitem__(self, draw: Draw) -> Drawn:
        return self.seen.draw(draw)


class Collate:
    """Drawn items to a batch; what to do with a corrupt picture."""

    def __init__(self, seen: View, on_corrupt: str) -> None:
        self.seen, self.on_corrupt = seen, on_corrupt

    def __call__(self, items: list[Drawn]) -> Any:
        """The batch of these items."""
        faults = [item for item in items if item.corrupt]
        if faults and self.on_corrupt == "raise":
            tag = faults[0].tag
            raise UserError(
                f"{tag.task}#{tag.index}: {faults[0].corrupt}; data.on_corrupt: skip would leave it out"
            )
        return self.seen.collate(items)


@register("data/packed")
class PackedData:
    """A suite of tasks as packed batches, in the view that a stage asks for."""

    def __init__(
        self,
        *,
        suite: Suite,
        tokenizer: Tokenizer,
        processor: Callable[..., Processor],
        pack_tokens: int = 4096,
        packs_per_epoch: int = 10_000,
        workers: int = 0,
        on_corrupt: Literal["skip", "raise"] = "skip",
        languages: dict[str, float] | None = None,
    ) -> None:
        """Note the parts; `connect` brings them together.

        Args:
            suite: the tasks.
            tokenizer: trained on the suite's text if it knows no words yet.
            processor: a template; it is given the tokenizer.
            pack_tokens: tokens of a pack.
            packs_per_epoch: how many packs Lightning calls an epoch; a budget usually ends a stage before.
            workers: processes that draw pictures; 0 draws in the main process.
            on_corrupt: leave a corrupt picture's item out, counted and named once, or stop.
            languages: of captions, and their shares, e.g. `{en: 0.5, zh: 0.5}`; None is English. Where a
                tokenizer is trained here, it learns the words of all.

        Raises:
            ValueError: a number is too small, or the suite does not know a language.
        """
        for name, value, least in (
            ("pack_tokens", pack_tokens, 1),
            ("packs_per_epoch", packs_per_epoch, 1),
            ("workers", workers, 0),
        ):
            if value < least:
                raise ValueError(f"data/packed: {name} is {value}; {least} or more would be right")
        shares = ENGLISH if languages is None else languages
        if not all(0 <= share < float("inf") for share in shares.values()) or not any(shares.values()):
            raise ValueError(f"data/packed: languages is {languages}; shares, not all 0, would be right")
        self.languages = {language: share for language, share in shares.items() if share}
        for language in self.languages:
            try:
                suite.words(language)
            except ValueError as fault:
                raise ValueError(f"data/packed: languages: {fault}") from None
        self.suite, self.tokenizer, self.template = suite, tokenizer, processor
        self.pack_tokens, self.packs_per_epoch = pack_tokens, packs_per_epoch
        self.workers, self.on_corrupt = workers, on_corrupt
        self.processor: Processor | None = None
        self.intake: Intake | None = None

    def connect(self, intake: Intake, tokenizer_file: Path | None = None) -> None:
        """Prepare sources, train or read the tokenizer, and tell parts of the assembly the vocabulary.

        Args:
            intake: what batches are made for, an assembly as a rule.
            tokenizer_file: the tokenizer to read with, in place of that of the data.

        Raises:
            UserError: a part that reads tokens has fewer ids than the tokenizer, or its file is damaged.
        """
        self.suite.prepare()
        if tokenizer_file is not None:
            try:
                self.tokenizer = type(self.tokenizer).from_file(tokenizer_file)  # type: ignore[attr-defined]
            except ValueError as fault:
                raise UserError(one_line(fault)) from None
        elif not getattr(self.tokenizer, "trained", True):
            self.tokenizer.train_cached(self._corpus(), cache_root())  # type: ignore[attr-defined]
        if short := list(self.short_vocabularies(intake)):
            raise UserError(*short)
        bind = getattr(intake, "bind_vocabulary", None)
        if bind is not None:
            bind(*labels(self.suite))
        self.processor = self.template(tokenizer=self.tokenizer)
        self.intake = intake

    def keep_words(self, file: Path) -> None:
        """Write the tokenizer where it belongs to what it has been trained with."""
        if hasattr(self.tokenizer, "save"):
            self.tokenizer.save(file)

    def _corpus(self) -> Iterator[str]:
        """What a tokenizer learns its words from: the suite's text, and its captions in other languages."""
        yield from self.suite.text_corpus(CORPUS_ITEMS)
        others = {language: self.suite.words(language) for language in self.languages if language != "en"}
        for index in range(CORPUS_ITEMS) if others else ():
            sample = self.suite.plan("train", index)
            if sample.captions:
                yield from (sample.captions[language] for language in others if language in sample.captions)
            elif sample.pictures:
                yield from (describe(sample.scene, words) for words in others.values())

    def short_vocabularies(self, intake: Intake) -> Iterator[str]:
        """A line, with its key, for every part that reads tokens and has fewer ids than the tokenizer."""
        ids = self.tokenizer.vocab
        for name in ("language", "text"):
            part = getattr(intake, name, None)
            if part is not None and part.vocab < ids:
                found = f"{name}.vocab: found {part.vocab}, but the tokenizer has {ids} ids"
                yield f"{found}; {ids} would be right"

    def view(self, name: str, split: str, resolution: Resolution | None = None) -> View:
        """A view of a split (see `pipelines.experiment.View`), its pictures at a resolution."""
        if self.intake is None or self.processor is None:
            raise RuntimeError("connect(intake) comes first")
        return view_of(
            name,
            self.suite,
            self.processor,
            self.intake,
            split=split,
            resolution=resolution,
            languages=self.languages,
        )

    def loader(
        self, stage: Any, *, seed: int = 0, rank: int = 0, world: int = 1, accumulate: int = 1
    ) -> StatefulDataLoader:
        """The endless training stream of a stage; its state is part of every checkpoint.

        Args:
            stage: its view and its pack size count.
            seed: another one is another stretch of the stream, which has 2**32 items for each.
            rank: whose packs these are.
            world: the number of ranks.
            accumulate: micro-batches of an optimizer step.
        """
        seen = self.view(stage.view, "train", stage.resolution)
        sampler = PackSampler(
            seen.size,
            capacity=stage.pack_tokens or self.pack_tokens,
            packs=self.packs_per_epoch,
            first=seed << 32,
            rank=rank,
            world=world,
            accumulate=accumulate,
        )
        return StatefulDataLoader(
            Items(seen),
            batch_sampler=sampler,
            collate_fn=Collate(seen, self.on_corrupt),
            num_workers=self.workers,
            persistent_workers=False,
            prefetch_factor=4 if self.workers else None,
        )


def labels(suite: Suite, items: int = CORPUS_ITEMS) -> tuple[list[str], list[str], str]:
    """Names, colours and characters of the things in the first training scenes, for specialists."""
    names: set[str] = set()
    colours: set[str] = set()
    characters: set[str] = set()
    for index in range(items):
        for thing in suite.plan("train", index).scene.things:
            names.add(thing.name)
            colours.add(thing.colour)
            characters.update(thing.text)
    return sorted(names), sorted(colours - {""}), "".join(sorted(characters))


def view_of(
    name: str,
    suite: Suite,
    processor: Processor,
    intake: Intake,
    *,
    split: str,
    resolution: Resolution | None = None,
    languages: Mapping[str, float] = ENGLISH,
) -> View:
    """The view by its name in an experiment's YAML (see `pipelines.experiment.View`)."""
    if name == "captions":
        return CaptionView(suite, processor, intake, split=split, resolution=resolution, languages=languages)
    if name == "pictures":
        return PictureView(suite, processor, intake, split=split, resolution=resolution)
    if name == "preferences":
        return PreferenceView(suite, processor, intake, split=split, resolution=resolution)
    if name == "scenes":
        return SceneView(suite, processor, intake, split=split)
    pictures = {"question": "shown", "withheld": "withheld", "described": "described"}[name]
    return View(suite, processor, intake, split=split, pictures=pictures, resolution=resolution)
