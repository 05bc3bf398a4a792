"""A small canvas for plots inside the page.

The plots are written as SVG by hand, not by a plotting library, so that they take the page's font and its
light and dark colours, and carry a tooltip on every mark. Positions are in pixels, origin top left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

Attribute = str | float | int


class Canvas:
    """Collects marks; `svg()` gives the element."""

    def __init__(self, *, width: float, height: float, name: str, label: str) -> None:
        self.width, self.height, self.name, self.label = width, height, name, label
        self._marks: list[Markup] = []

    def add(self, tag: str, *, title: Attribute = "", text: Attribute = "", **attributes: Attribute) -> None:
        """Draw one element; underscores in attribute names become hyphens, `cls` becomes class."""
        written = Markup("").join(
            Markup(' {}="{}"').format(
                "class" if key == "cls" else key.replace("_", "-"), _short(value) if _number(value) else value
            )
            for key, value in attributes.items()
        )
        inside = Markup("<title>{}</title>").format(title) if title else Markup("")
        self._marks.append(Markup("<{0}{1}>{2}{3}</{0}>").format(Markup(tag), written, inside, escape(text)))

    def line(self, x1: float, y1: float, x2: float, y2: float, cls: str, **attributes: Attribute) -> None:
        """A straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, cls=cls, **attributes)

    def text(
        self, x: float, y: float, text: str, cls: str = "", anchor: str = "start", **more: Attribute
    ) -> None:
        """One line of text on its baseline."""
        self.add("text", text=text, x=x, y=y, cls=cls, text_anchor=anchor, **more)

    def rect(
        self, x: float, y: float, width: float, height: float, cls: str, title: str = "", **more: Attribute
    ) -> None:
        """A filled rectangle."""
        self.add("rect", title=title, x=x, y=y, width=max(width, 0), height=height, cls=cls, **more)

    def path(
        self, places: Sequence[tuple[float, float]], cls: str, title: str = "", **more: Attribute
    ) -> None:
        """A line through places."""
        drawn = "M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in places)
        self.add("path", title=title, d=drawn, cls=cls, **more)

    def marker(self, x: float, y: float, shape: int, cls: str, title: str = "", r: float = 3.6) -> None:
        """A mark whose shape tells designs apart where colour does not; colours repeat after five as well."""
        shape = (shape + shape // len(SHAPES)) % len(SHAPES)
        if shape == 0:
            self.add("circle", title=title, cx=x, cy=y, r=r, cls=cls)
            return
        corners = [(x + r * dx, y + r * dy) for dx, dy in SHAPES[shape]]
        self.add(
            "polygon", title=title, points=" ".join(f"{_short(a)},{_short(b)}" for a, b in corners), cls=cls
        )

    def svg(self) -> Markup:
        """The finished element."""
        return Markup(
            '<svg class="plot" data-plot="{}" role="img" aria-label="{}" viewBox="0 0 {} {}" '
            'style="max-width:{}px" xmlns="http://www.w3.org/2000/svg">{}</svg>'
        ).format(
            self.name,
            self.label,
            _short(self.width),
            _short(self.height),
            _short(1.25 * self.width),
            Markup("").join(self._marks),
        )


SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.2), (1.1, 0.85), (-1.1, 0.85)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, 1.2), (1.1, -0.85), (-1.1, -0.85)),
)


class Axis:
    """A linear scale from values to pixels, with round ticks."""

    def __init__(self, low: float, high: float, start: float, end: float, count: int = 5) -> None:
        if not high > low:
            low, high = low - 0.5, high + 0.5
        self.low, self.high, self.start, self.end, self.count = low, high, start, end, count

    def __call__(self, value: float) -> float:
        """The pixel of a value; values outside are put on the border."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """About `count` values of 1, 2 or 5 times a power of ten.

        >>> Axis(0, 1, 0, 100).ticks()
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        """
        rough = (self.high - self.low) / self.count
        power = 10 ** math.floor(math.log10(rough))
        step = min((1, 2, 5, 10), key=lambda factor: abs(math.log(factor * power / rough))) * power
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]


def _number(value: Attribute) -> bool:
    return isinstance(value, int | float)


def _short(value: Attribute) -> str:
    return f"{float(value):.1f}".removesuffix(".0")
