"""Where do the pieces stand?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vlmloom.components.contracts.sources import FontSource, PositionSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

BOARDS: tuple[tuple[RGB, RGB], ...] = (
    ((240, 217, 181), (181, 136, 99)),
    ((238, 238, 210), (118, 150, 86)),
    ((222, 227, 230), (140, 162, 173)),
)
SHIFTED: tuple[tuple[RGB, RGB], ...] = (
    ((250, 250, 250), (190, 190, 200)),
    ((245, 225, 225), (205, 150, 160)),
)
"""Light squares and dark ones."""
GLYPHS = dict(zip("kqrbnp", "\u265a\u265b\u265c\u265d\u265e\u265f", strict=True))


@register("task/chess_fen")
class ChessFEN(ContentTask):
    """Write a chess position down in Forsyth-Edwards notation; positions are reached by legal moves.

    The shift split has the pieces of a font in place of drawings.

    Args:
        world: what is shared by the tasks of a suite.
        positions: where they come from; None is `source/chess`.
        fonts: must hold DejaVu Sans; None is `source/page_fonts`.
        moves: the most half-moves from the start.
    """

    name = "chess_fen"
    family = "reasoning"
    knob = "moves"

    def __init__(
        self,
        *,
        world: World,
        positions: PositionSource | None = None,
        fonts: FontSource | None = None,
        moves: int = 60,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if moves < 2:
            raise ValueError(f"task/chess_fen: moves is {moves}; 2 or more would be right")
        self.positions: PositionSource = by_name(positions, "source/chess")
        self.moves = moves

    def sources(self) -> Sequence[Source]:
        """Fonts and positions."""
        return (self.fonts, self.positions)

    def judge(self) -> dict[str, Any]:
        """Square by square."""
        return {"use": "reward/fen"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A board with White below."""
        fen = self.positions.position(draw.below(1 << 62), draw.between(2, self.moves))
        square = draw.choice((28, 32, 36, 40))
        if split == "shift":
            face = Face("DejaVuSans", str(self.fonts.load()["DejaVuSans"]))
            drawings: tuple[tuple[str, str], ...] = ()
        else:
            face = None
            drawings = _drawings(self.positions)
        squares = draw.choice(SHIFTED if split == "shift" else BOARDS)
        picture = Rendered(paint, 8 * square, 8 * square, fen, square, squares, face, Hidden(drawings))
        return Item(
            "Write where the pieces stand as the first field of a FEN; White is below.",
            fen,
            (),
            (picture,),
            source="chess",
            content=fen,
        )


class Hidden(tuple[tuple[str, str], ...]):
    """The drawings of the pieces, which are the same for all boards and told by their number only."""

    def __repr__(self) -> str:
        return f"{len(self)} drawings"


@lru_cache(maxsize=8)
def _drawings(positions: PositionSource) -> tuple[tuple[str, str], ...]:
    return tuple((letter, positions.piece(letter)) for letter in "KQRBNPkqrbnp")


def paint(
    width: int,
    height: int,
    fen: str,
    square: int,
    squares: tuple[RGB, RGB],
    face: Face | None,
    drawings: tuple[tuple[str, str], ...],
) -> np.ndarray:
    """A board, uint8 `[height, width, 3]`."""
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    svgs = dict(drawings)
    for y, row in enumerate(fen.split("/")):
        signs = "".join(" " * int(sign) if sign.isdigit() else sign for sign in row)
        for x, sign in enumerate(signs):
            left, top = x * square, y * square
            pen.rectangle((left, top, left + square, top + square), fill=squares[(x + y) % 2])
            if sign == " ":
                continue
            if face is None:
                piece = _piece(svgs[sign], square)
                image.paste(piece, (left, top), piece)
            else:
                white = sign.isupper()
                pen.text(
                    (left + square / 2, top + square / 2),
                    GLYPHS[sign.lower()],
                    font=face.font(square * 4 // 5),
                    anchor="mm",
                    fill=(255, 255, 255) if white else (15, 15, 15),
                    stroke_width=1 if white else 0,
                    stroke_fill=(15, 15, 15),
                )
    return np.asarray(image)


@lru_cache(maxsize=256)
def _piece(svg: str, size: int) -> Image.Image:
    from resvg_py import svg_to_bytes

    data = bytes(svg_to_bytes(svg_string=svg, width=size, height=size))
    return Image.open(BytesIO(data)).convert("RGBA")
