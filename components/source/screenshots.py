"""What the sources of web pages share: a Chromium looks at every page once, and what it saw is kept."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.sources import PageSource, PageView, SourceMissing
from vlmloom.components.sandbox.chromium import BrowserMissing, chromium, version
from vlmloom.components.source.cache import Tick, prepared
from vlmloom.registry import name_of


class Screenshots(PageSource):
    """Pages as they were looked at once, in a fixed order."""

    _views: list[PageView] | None = None

    def available(self) -> str | None:
        """None where there are pages, and a Chromium to look at them."""
        try:
            chromium()
        except BrowserMissing as error:
            return f"{name_of(self)}: {error}"
        return self.lacking()

    @abstractmethod
    def lacking(self) -> str | None:
        """None where there are pages; else one line that says how to get them."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the screenshots depend on beside the Chromium."""

    @abstractmethod
    def look(self, folder: Path, tick: Tick) -> list[list[Any]]:
        """Write the screenshots; gives back page, file, width, height and elements of each."""

    def prepare(self) -> None:
        """Look at every page once."""
        self.load()

    def load(self) -> list[PageView]:
        """Windows on the pages, in a fixed order.

        Raises:
            SourceMissing: there are no pages, or no Chromium.
        """
        if self._views is None:
            if missing := self.available():
                raise SourceMissing(missing)
            settings = self.settings() | {"chromium": version()}
            kept = prepared(name_of(self).replace("/", "-").replace("_", "-"), settings, self._write)
            index = json.loads((kept / "index.json").read_text(encoding="utf-8"))
            self._views = [
                PageView(page, kept / name, width, height, tuple(tuple(one) for one in elements))
                for page, name, width, height, elements in index
            ]
        return self._views

    def _write(self, folder: Path, tick: Tick) -> None:
        (folder / "index.json").write_text(json.dumps(self.look(folder, tick)), encoding="utf-8")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_views": None}
