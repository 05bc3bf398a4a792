"""What does it say?"""

from __future__ import annotations

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item, SceneTask, placed, spread
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing, Writing, writing_width
from vlmloom.components.task.world import World
from vlmloom.registry import register

WORDS = (
    *("GO", "NO", "UP", "ON", "IN", "OK", "HI", "BY"),
    *("YES", "NEW", "OLD", "TOP", "TAX", "BIG", "RED", "SKY"),
    *("JAM", "FUN", "ZOO", "WIN", "CUP", "EXIT", "SALE", "OPEN"),
)
INKS = ((15, 15, 15), (20, 20, 120), (130, 10, 10))
PAPER = (250, 250, 250)


@register("task/read")
class Read(SceneTask):
    """Read a word that is written over a picture, in a real font.

    Args:
        world: what is shared by the tasks of a suite.
        words: what may be written.
        longest: words of more letters are left out.
    """

    name = "read"
    family = "documents"

    def __init__(self, *, world: World, words: tuple[str, ...] = WORDS, longest: int = 3) -> None:
        super().__init__(world=world)
        self.words = tuple(word for word in words if len(word) <= longest)
        if len(self.words) < 2:
            raise ValueError(
                f"task/read: {len(self.words)} words have {longest} letters or fewer, but need at least 2"
            )
        if world.fonts is None:
            raise ValueError("task/read: the suite has no fonts; give it `fonts: {use: source/fonts}`")
        self.fonts = {name: str(path) for name, path in world.fonts.load().items()}
        self.shifted = {name: str(path) for name, path in world.fonts.shifted().items()}

    def splits(self) -> list[str]:
        """Other fonts make a shift of their own, with or without another style of drawing."""
        splits = super().splits()
        return [*splits, "shift"] if self.shifted and "shift" not in splits else splits

    def form_of(self, item: Item) -> str:
        """What may be written is not told: the word is to be read."""
        return "Answer with the word alone."

    def compose(self, draw: Draw, split: str) -> Item:
        """A thing, and a word on a plate across it."""
        world = self.world
        style = world.style_of(split, draw) if world.shifted else world.style
        fonts = self.shifted if split == "shift" else self.fonts
        face = draw.choice(list(fonts))
        word, entry = draw.choice(self.words), draw.choice(style.entries)
        width, height = world.canvas(draw, wide=True)
        size = spread(draw, 40, 56, world.side)
        layer, thing = placed(
            style, entry, draw.below(width - size + 1), draw.below(height - size + 1), size, width, height
        )
        tall = spread(draw, 20, 28, world.side)
        long = min(writing_width(word, fonts[face], tall), width - 8)
        x, y = 4 + draw.below(width - long - 7), 4 + draw.below(height - tall - 7)
        writing = Writing(word, fonts[face], face, x, y, long, tall, draw.choice(INKS), PAPER)
        written = Thing("word", "writing", permille((x, y, x + long, y + tall), width, height), "", word)
        picture = Drawing(width, height, world.backdrop(draw, width, height), ((layer, writing),))
        return Item("what does it say?", word, (thing, written), (picture,), self.words, style.name)
