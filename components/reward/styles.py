"""Whether styles leave the words of a page to be seen."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHOWING = re.compile(
    r"(?:border|padding|margin|background)(?:-[a-z-]+)?|(?:min-)?(?:width|height)|(?:text|vertical)-align"
    r"|text-decoration|table-layout|caption-side|color|font(?:-(?:size|weight|style|family))?|line-height"
    r"|white-space|word-(?:break|wrap)|overflow-wrap|box-sizing"
)
"""Properties that can be had without losing a word, as far as their values are none of these."""
HIDING = re.compile(r"line-through|transparent|(?<![\w.#])-[\d.]|(?<!\brgb)(?<!\bhsl)\(|[\\{@]", re.I)
NOTHING = re.compile(r"(?<![\w.#])0*\.?0*(?:px|pt|r?em|ex|ch|v[wh]|%)?(?![\w.%])", re.I)
"""No size at all."""
RULE = re.compile(r"[^{}@]*\{([^{}]*)\}")


def shows(styles: Iterable[str]) -> bool:
    """Whether every one of these styles, out of an attribute or a sheet, is known to hide and strike nothing.

    >>> shows(["font-size:0.9em; border: 1px solid #000", "td, th {padding: 0}"])
    True
    >>> shows(["font-size: 0"]), shows(["display:none"]), shows(["td {text-decoration: line-through}"])
    (False, False, False)
    """
    return all(map(_shows, styles))


def _shows(style: str) -> bool:
    declarations = RULE.sub(r"\1;", style).split(";")
    for name, _, value in (each.partition(":") for each in declarations if each.strip()):
        name = name.strip().lower()
        if not SHOWING.fullmatch(name) or HIDING.search(value):
            return False
        if name.startswith(("font", "line")) and any(match[0] for match in NOTHING.finditer(value)):
            return False
    return True
