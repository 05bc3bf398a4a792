"""The cascade design: specialists turn pixels into text, a language model answers from that text alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import nn

from vlmloom.assemblies.recompute import Policy, compute_again
from vlmloom.assemblies.spliced import Spliced
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.sample import Scene, Thing, describe
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.specialist import Specialist
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.registry import register


@register("assembly/cascade")
class Cascade(Spliced):
    """Detector, tagger and reader turn pictures into text; a text-only language part answers from it.

    Each specialist is trained alone, on labels of the same training scenes; the language part is trained on
    true descriptions. They meet only at inference: `describe(perceive(pictures))` takes the pictures' place.
    """

    def __init__(
        self,
        *,
        detector: Specialist,
        tagger: Specialist,
        reader: Specialist,
        language: Language,
        head: Mapping[str, Callable[..., Head]],
        recompute: Mapping[str, Policy] | None = None,
    ) -> None:
        """Wire the parts.

        Args:
            detector: finds where things are and which of them are writing.
            tagger: names them and their colours.
            reader: reads the writing.
            language: the decoder, which never sees a picture.
            head: templates by name; `lm` is needed.
            recompute: part (language, head) -> none, selective or full; what its blocks keep for the way
                back (see `assemblies.recompute`).
        """
        super().__init__(language=language, head=head)
        self.detector = detector
        self.tagger = tagger
        self.reader = reader
        compute_again(self, recompute)

    def senses(self) -> dict[str, Specialist]:
        """The specialists in the order in which they look."""
        return {"detector": self.detector, "tagger": self.tagger, "reader": self.reader}

    def parts(self) -> dict[str, nn.Module]:
        """See `Assembly.parts`."""
        return dict(self.senses()) | super().parts()

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """Tell every specialist which names, colours and characters there are."""
        for sense in self.senses().values():
            sense.bind_vocabulary(names, colours, alphabet)

    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """What the specialists see in each frame; `pictures.things` is not looked at.

        A frame that stands in several samples (equal keys) is looked at once. `Thing.frame` counts the frames
        of a sample.
        """
        first: dict[str, int] = {}
        for place, key in enumerate(pictures.keys):
            first.setdefault(key, place)
        places = sorted(first.values())
        things: list[tuple[Thing, ...]] = [() for _ in places]
        looked = Pictures(
            frames=[pictures.frames[place] for place in places],
            things=things,
            keys=[pictures.keys[place] for place in places],
            owners=[pictures.owners[place] for place in places],
        )
        for sense in self.senses().values():
            looked = replace(looked, things=sense.perceive(looked))
        seen = dict(zip(looked.keys, looked.things, strict=True))
        numbers: dict[int, int] = {}
        found = []
        for key, owner in zip(pictures.keys, pictures.owners, strict=True):
            number = numbers.setdefault(owner, 0)
            numbers[owner] += 1
            found.append(tuple(replace(thing, frame=number) for thing in seen[key]))
        return found

    def descriptions(self, pictures: Pictures) -> dict[int, str]:
        """The text that takes the pictures' place, by sample (`Pictures.owners`)."""
        found: dict[int, tuple[Thing, ...]] = {}
        for owner, things in zip(pictures.owners, self.perceive(pictures), strict=True):
            found[owner] = found.get(owner, ()) + things
        return {owner: describe(Scene("", things)) for owner, things in found.items()}

    def perception_flops(self, pictures: Pictures) -> dict[str, int]:
        """Forward FLOPs of each specialist for these frames and the things in them."""
        return {name: sense.flops(sense.views(pictures)) for name, sense in self.senses().items()}

    def dry_run(self) -> None:
        """See `Assembly.dry_run`."""
        stream = Spec("pictures", 3)
        for sense in self.senses().values():
            stream = sense.shapes(stream)
        super().dry_run()
