"""Real web pages out of packages, as a Chromium without network shows them."""

from __future__ import annotations

import json
import os
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

from PIL import Image

from vlmloom.components.media.cache_root import cache_root
from vlmloom.components.sandbox.browsers import browsers
from vlmloom.components.sandbox.page import Page
from vlmloom.components.source.cache import Tick
from vlmloom.components.source.screenshots import Screenshots
from vlmloom.registry import register

PACKAGES = ("startbootstrap-sb-admin-2", "startbootstrap-resume", "startbootstrap-creative")
"""npm packages of whole pages; those that are unpacked are used."""
WINDOWS = ((1024, 768), (1280, 720), (480, 800))
"""Sizes of windows; the last, narrow one is for shift splits."""
SCREENS = 24
"""How far down a page is looked at, in windows."""
FORMAT = 3

ELEMENTS = """(() => {
    const found = [], seen = {};
    const kinds = 'a, button, input, select, textarea, [role=button], summary';
    for (const e of document.querySelectorAll(kinds)) {
        if (!e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        const said = e.innerText || e.placeholder || e.getAttribute('aria-label') || e.title || '';
        const words = said.replace(/\\s+/g, ' ').trim();
        if (words) seen[words.toLowerCase()] = (seen[words.toLowerCase()] || 0) + 1;
        const boxes = e.getClientRects(), r = boxes[0];
        if (boxes.length !== 1) continue;
        if (!words || words.length > 40 || r.width < 10 || r.height < 8) continue;
        if (r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight) continue;
        const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
        if (!top || !(e === top || e.contains(top))) continue;
        const kind = {A: 'link', INPUT: 'field', TEXTAREA: 'field', SELECT: 'list'}[e.tagName] || 'button';
        found.push([words, kind, r.left, r.top, r.right, r.bottom]);
    }
    return found.filter(one => seen[one[0].toLowerCase()] === 1);
})()"""


@register("source/web_pages")
class WebPages(Screenshots):
    """Screenshots of real web pages, with the boxes of what can be clicked.

    Pages come from npm packages that are unpacked in `folder`, in `VLMLOOM_PAGES`, in `node_modules` of the
    working folder or in the cache folder (`npm pack startbootstrap-sb-admin-2`, MIT), and, so that there are
    some without npm, from the documentation inside the Python package pygame-ce (LGPL-2.1). They are looked
    at once, in windows of three sizes down to twenty-four windows' height, and kept.

    Args:
        folder: where npm packages lie.
        pages: the most pages of a package.

    Reference: https://github.com/startbootstrap; https://pyga.me/docs
    """

    package = "npm startbootstrap-sb-admin-2 and others, PyPI pygame-ce"
    licence = "MIT, LGPL-2.1"

    def __init__(self, *, folder: str | None = None, pages: int = 96) -> None:
        self.folder = folder
        self.pages = pages

    def lacking(self) -> str | None:
        """None where there are pages."""
        return None if self._found() else "source/web_pages: pip install pygame-ce (extra: browser)"

    def _found(self) -> list[tuple[str, Path, str]]:
        """Name and version, folder, and path of every page."""
        named = self.folder or os.environ.get("VLMLOOM_PAGES")
        places = [Path(named)] if named else [Path("node_modules"), cache_root()]
        pages = []
        for name in PACKAGES:
            roots = [place / name for place in places if (place / name / "package.json").is_file()]
            root = next(iter(roots), None)
            if root is not None:
                version = json.loads((root / "package.json").read_text(encoding="utf-8"))["version"]
                paths = sorted(path for path in root.glob("*.html"))[: self.pages]
                pages += [(f"{name}-{version}", root, path.name) for path in paths]
        spec = util.find_spec("pygame")
        if spec is not None and spec.origin is not None:
            root = Path(spec.origin).parent / "docs" / "generated"
            paths = sorted(path for path in root.rglob("*.html") if path.stat().st_size > 5000)[: self.pages]
            pages += [(f"pygame-ce-{_version()}", root, path.relative_to(root).as_posix()) for path in paths]
        return pages

    def settings(self) -> dict[str, Any]:
        """The pages that there are."""
        return {"format": FORMAT, "pages": [(name, path) for name, _, path in self._found()]}

    def look(self, folder: Path, tick: Tick) -> list[list[Any]]:
        """Each page in windows of three sizes, down to its end."""
        index: list[list[Any]] = []
        found = self._found()
        for number, (name, root, path) in enumerate(found):
            index += browsers().run(
                partial(windows, part=folder, number=number, name=name, root=root, path=path)
            )
            tick(number + 1, len(found))
        return index


def _version() -> str:
    try:
        return metadata.version("pygame-ce")
    except metadata.PackageNotFoundError:
        return metadata.version("pygame")


def windows(page: Page, part: Path, number: int, name: str, root: Path, path: str) -> list[list[Any]]:
    """Write the screenshots of one page; gives back what `PageView` has, for each that shows enough."""
    entries = []
    for width, height in WINDOWS:
        page.show(folder=root, path=path, width=width, height=height)
        length = page.evaluate("document.documentElement.scrollHeight")
        for screen in range(min(SCREENS, max(1, round(length / height)))):
            page.evaluate(f"window.scrollTo({{top: {screen * height}, behavior: 'instant'}})")
            elements = page.evaluate(ELEMENTS)
            if len(elements) >= 3:
                file = f"{number:03d}-{width}-{screen}.png"
                Image.fromarray(page.screenshot()).save(part / file)
                entries.append([f"{name}/{path}", file, width, height, elements])
    return entries
