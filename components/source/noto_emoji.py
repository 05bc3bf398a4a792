"""Noto emoji: the same things in another drawing style, from an npm package."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from PIL import Image

from vlmloom.components.media.cache_root import cache_root
from vlmloom.components.source.sprites import PreparedSprites, clean, plain
from vlmloom.registry import register

PACKAGE = "emoji-datasource-google"


@register("source/noto_emoji")
class NotoEmoji(PreparedSprites):
    """Noto emoji drawings: another style of the same things, for the shift split.

    The npm package `emoji-datasource-google` is looked for in `folder`, in `VLMLOOM_NOTO_EMOJI`, in
    `node_modules` of the working folder and in the cache folder (as `emoji-datasource-google/`).

    Args:
        folder: the unpacked package, the folder that holds `emoji.json`.
        size: side of a sprite in pixels; the drawings are 64 pixels wide.

    Reference: https://github.com/iamcal/emoji-data
    """

    style = "noto_emoji"
    package = f"npm {PACKAGE}"
    licence = "Apache-2.0 (images), MIT (data)"

    def __init__(self, *, folder: str | None = None, size: int = 64) -> None:
        super().__init__(size=size)
        self.folder = folder

    def _found(self) -> Path | None:
        if self.folder is not None:
            places = [Path(self.folder)]
        else:
            named = os.environ.get("VLMLOOM_NOTO_EMOJI")
            places = [Path(named)] if named else []
            places += [Path("node_modules") / PACKAGE, cache_root() / PACKAGE]
        return next((place for place in places if (place / "emoji.json").is_file()), None)

    def available(self) -> str | None:
        """None where the package is found."""
        if self._found() is not None:
            return None
        where = self.folder or cache_root() / PACKAGE
        return f"source/noto_emoji: npm pack {PACKAGE}, and unpack it so that {where}/emoji.json is there"

    def version(self) -> str:
        """Of the npm package."""
        return str(json.loads((self._root() / "package.json").read_text(encoding="utf-8"))["version"])

    def _root(self) -> Path:
        found = self._found()
        assert found is not None
        return found

    def entries(self) -> list[tuple[str, str, Any]]:
        """Every drawing but flags and skin tones."""
        root = self._root()
        records = json.loads((root / "emoji.json").read_text(encoding="utf-8"))
        return [
            (
                clean(record["short_name"]),
                plain(record["unified"]),
                root / "img" / "google" / "64" / record["image"],
            )
            for record in sorted(records, key=lambda record: record["unified"])
            if record["has_img_google"] and record["category"] not in ("Flags", "Component")
        ]

    def draw(self, what: Path) -> Image.Image:
        """Open one drawing."""
        with Image.open(what) as picture:
            return picture.convert("RGBA")
