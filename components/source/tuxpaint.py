"""Tux Paint stamps: captioned cut-outs, many of them photographs, from a Debian package."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from PIL import Image

from vlmloom.components.source.sprites import PreparedSprites
from vlmloom.registry import register

FOLDER = Path("/usr/share/tuxpaint/stamps")


@register("source/tuxpaint")
class TuxPaint(PreparedSprites):
    """Tux Paint stamps: captioned photographs and drawings, for the shift split.

    A stamp is named by the first line of its caption, without article and full stop ("A red apple." is
    `red apple`).

    Args:
        folder: where the stamps are installed.
        size: side of a sprite in pixels.

    Reference: https://tuxpaint.org/stamps
    """

    style = "tuxpaint"
    package = "apt tuxpaint-stamps-default"
    licence = "GPL-2+ (install only, not shipped)"

    def __init__(self, *, folder: str | None = None, size: int = 64) -> None:
        super().__init__(size=size)
        self.folder = FOLDER if folder is None else Path(folder)

    def available(self) -> str | None:
        """None where the stamps are installed."""
        if self.folder.is_dir():
            return None
        return (
            "source/tuxpaint: apt-get install --no-install-recommends tuxpaint-stamps-default "
            f"(no stamps in {self.folder})"
        )

    def version(self) -> str:
        """A digest of the names and sizes of the stamps: the package has no version file."""
        names = [f"{path.relative_to(self.folder)} {path.stat().st_size}" for path in self._files()]
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]

    def _files(self) -> list[Path]:
        return sorted(self.folder.rglob("*.png"))

    def entries(self) -> list[tuple[str, str, Any]]:
        """Every stamp that has a caption."""
        found = []
        for path in self._files():
            caption = path.with_suffix(".txt")
            if caption.is_file():
                first = caption.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
                found.append((_name(first), f"tuxpaint/{path.stem}", path))
        return found

    def draw(self, what: Path) -> Image.Image:
        """Open one stamp."""
        with Image.open(what) as picture:
            return picture.convert("RGBA")


def _name(caption: str) -> str:
    """The words of a caption without article and full stop.

    >>> _name("A red apple.")
    'red apple'
    """
    words = re.sub(r"[^\w\s'-]", "", caption.lower()).split()
    return " ".join(words[1:] if words[:1] and words[0] in ("a", "an", "the", "some") else words)
