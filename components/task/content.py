"""Tasks whose splits are told apart by what is shown, wherever it stands and however it looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.sources import FontSource, Source
from vlmloom.components.task.base import Item, SceneTask
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.sheet import Face
from vlmloom.components.task.world import World, belongs


class ContentTask(SceneTask):
    """A task that composes an item and says by `Item.content` what is in it.

    No content is in two splits; the shift split has the contents of test, in other fonts or another style.

    Args:
        world: what is shared by the tasks of a suite.
        fonts: what is written with; None is `source/page_fonts`.
    """

    held = False
    styled = False
    salt: ClassVar[str] = ""
    """What the digests of contents begin with; tasks that share contents share it."""

    def __init__(self, *, world: World, fonts: FontSource | None = None) -> None:
        super().__init__(world=world)
        self.fonts: FontSource = by_name(fonts, "source/page_fonts")
        self._faces: dict[bool, list[Face]] = {}

    def sources(self) -> Sequence[Source]:
        """The fonts."""
        return (self.fonts,)

    def splits(self) -> list[str]:
        """All but the compositional one."""
        return [*super().splits(), "shift"]

    def face(self, draw: Draw, split: str) -> Face:
        """A font of the split."""
        shifted = split == "shift"
        if shifted not in self._faces:
            files = self.fonts.shifted() if shifted else self.fonts.load()
            self._faces[shifted] = [Face(name, str(path)) for name, path in files.items()]
        return draw.choice(self._faces[shifted])

    def admits(self, split: str, item: Item) -> bool:
        """By a digest of the content."""
        return self.belongs(split, item.content)

    def belongs(self, split: str, content: str) -> bool:
        """Whether a content is one of the split's; may be asked before the work that an item takes."""
        return belongs(self.digest(content), split)

    def digest(self, content: str) -> int:
        """Of a content, the same under every name that the task is given."""
        return stable_hash(self.salt or type(self).__name__, content)

    def scene_key(self, item: Item) -> str:
        """The content is the scene."""
        return f"{item.source}:{self.digest(item.content):016x}"

    def _sample(self, item: Item, split: str, index: int) -> Sample:
        sample = super()._sample(item, split, index)
        if not item.things:
            sample.caption = ""
        return sample


def by_name(given: Any, name: str, **settings: Any) -> Any:
    """What was given, else what is registered under a name: other kinds are reached so."""
    if given is not None:
        return given
    from vlmloom.registry import build

    return build({"use": name} | settings)
