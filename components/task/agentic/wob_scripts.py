"""Scripted policies for MiniWoB++ pages: the next action from the instruction and the elements.

They read the page's elements where a model has the screenshot, and act through the same desktop actions. They
show that an episode can be won, and give demonstrations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from vlmloom.components.task.agentic.desktop import click_at
from vlmloom.components.task.agentic.wob import HEIGHT, WIDTH

Element = dict[str, Any]
Script = Callable[[str, list[Element]], "str | None"]


def click(element: Element) -> str:
    """A click on its middle."""
    return click_at(element["x"], element["y"], WIDTH, HEIGHT)


def quoted(instruction: str) -> list[str]:
    """What stands between double quotes.

    >>> quoted('Enter "a" and "b".')
    ['a', 'b']
    """
    return re.findall(r'"([^"]*)"', instruction)


def labelled(elements: list[Element], text: str, *tags: str) -> Element | None:
    """The element of these tags whose own words, or value, are the text."""
    return next(
        (one for one in elements if (not tags or one["tag"] in tags) and text in (one["own"], one["text"])),
        None,
    )


def by_id(elements: list[Element], name: str) -> Element | None:
    """The element of this id."""
    return next((one for one in elements if one["id"] == name), None)


def submit(elements: list[Element]) -> str | None:
    """A click on the button that ends the page."""
    found = next((one for one in elements if "secondary-action" in one["cls"] or one["id"] == "submit"), None)
    return click(found) if found else None


def maybe(element: Element | None) -> str | None:
    """A click, where there is something to click."""
    return click(element) if element else None


def fill(elements: list[Element], wanted: dict[str, str]) -> str | None:
    """The next step of filling fields, by id, and then submitting."""
    for name, text in wanted.items():
        field = by_id(elements, name)
        if field is None or field["value"] == text:
            continue
        if not field["focused"]:
            return click(field)
        return "key(keys='ctrl+a')" if field["value"] else f"type(content={text!r})"
    return submit(elements)


def button(instruction: str, elements: list[Element]) -> str | None:
    """The button whose label is quoted."""
    return maybe(labelled(elements, quoted(instruction)[0], "button"))


def named_button(instruction: str, elements: list[Element]) -> str | None:
    """The button whose word is said, or the only one."""
    word = re.search(r"button (\w+)", instruction)
    return maybe(labelled(elements, word[1], "button") if word else by_id(elements, "subbtn"))


def sequence(instruction: str, elements: list[Element]) -> str | None:
    """Button ONE, which keeps the focus once it is pressed, then TWO."""
    one, two = by_id(elements, "subbtn"), by_id(elements, "subbtn2")
    return maybe(two if one and one["focused"] else one)


def link(instruction: str, elements: list[Element]) -> str | None:
    """The link whose words are quoted."""
    return maybe(labelled(elements, quoted(instruction)[0], "span", "a"))


def tab(instruction: str, elements: list[Element]) -> str | None:
    """The tab of this name."""
    found = re.search(r"Tab #\d", instruction)
    return maybe(labelled(elements, found[0], "a")) if found else None


def tabs(instruction: str, elements: list[Element]) -> str | None:
    """The link where it shows, else the next tab."""
    found = labelled(elements, quoted(instruction)[0], "span")
    if found:
        return click(found)
    anchors = [one for one in elements if "ui-tabs-anchor" in one["cls"]]
    active = next(
        one for one in elements if "ui-tabs-active" in one["cls"] or "ui-state-active" in one["cls"]
    )
    # Wide letters move the middle of a tab's words off the middle of the tab.
    apart = [abs(one["x"] - active["x"]) + abs(one["y"] - active["y"]) for one in anchors]
    return click(anchors[(apart.index(min(apart)) + 1) % len(anchors)])


def sections(instruction: str, elements: list[Element]) -> str | None:
    """Open the sections one after the other until the link shows; without a link, open one and submit."""
    headers = [one for one in elements if "ui-accordion-header" in one["cls"] and one["tag"] == "h3"]
    closed = [one for one in headers if "ui-accordion-header-active" not in one["cls"]]
    if not quoted(instruction):
        return maybe(headers[0]) if len(closed) == len(headers) else submit(elements)
    found = labelled(elements, quoted(instruction)[0], "span", "a")
    if found:
        return click(found)
    active = [number for number, one in enumerate(headers) if one not in closed]
    return maybe(headers[(active[0] + 1) % len(headers)] if active else headers[0])


def dialog(instruction: str, elements: list[Element]) -> str | None:
    """A button of the dialog; the cross is called x."""
    label = quoted(instruction)[0]
    if label == "x":
        return maybe(next((one for one in elements if "ui-dialog-titlebar-close" in one["cls"]), None))
    return button(instruction, elements)


def checks(instruction: str, elements: list[Element]) -> str | None:
    """Tick what is listed, then submit; the one of radio buttons too."""
    found = re.search(r"Select (.*) and click Submit", instruction)
    wanted = set(found[1].split(", ")) if found else set()
    boxes = [one for one in elements if one["type"] in ("checkbox", "radio")]
    for box in boxes:
        if box["parent"].strip() in wanted and not box["checked"]:
            return click(box)
    return submit(elements)


def widget(instruction: str, elements: list[Element]) -> str | None:
    """A widget of the kind that is quoted."""
    kind = quoted(instruction)[0]
    return maybe(next((one for one in elements if kind in (one["type"], one["tag"])), None))


def focus(instruction: str, elements: list[Element]) -> str | None:
    """The text box of this number, from above."""
    fields = sorted((one for one in elements if one["tag"] == "input"), key=lambda one: one["y"])
    number = re.search(r"(\d)\w\w input", instruction)
    return maybe(fields[int(number[1]) - 1 if number else 0])


def enter(instruction: str, elements: list[Element]) -> str | None:
    """Type what is quoted into the one field."""
    text = quoted(instruction)[0]
    text = (
        text.upper() if "upper case" in instruction else text.lower() if "lower case" in instruction else text
    )
    return fill(elements, {"tt": text})


def password(instruction: str, elements: list[Element]) -> str | None:
    """The same twice."""
    text = quoted(instruction)[0]
    return fill(elements, {"password": text, "verify": text})


def login(instruction: str, elements: list[Element]) -> str | None:
    """A name and a password, and away with what pops up meanwhile."""
    if popped := by_id(elements, "popup-cancel"):
        return click(popped)
    user, word = quoted(instruction)[:2]
    return fill(elements, {"username": user, "password": word})


def arithmetic(instruction: str, elements: list[Element]) -> str | None:
    """Two digits and a sign between them, or an equation in x."""
    problem = by_id(elements, "math-problem")
    if problem is None:
        return None
    return fill(elements, {"math-answer": str(solve(problem["text"]))})


def solve(text: str) -> int:
    """The number that is asked for.

    >>> solve("2 x 4 ="), solve("x + 2 = 43"), solve("7 - x = 3"), solve("9 - 12 =")
    (8, 41, 4, -3)
    """
    asked, _, total = text.partition("=")
    left, sign, right = asked.split()
    if not total.strip():
        one, other = int(left), int(right)
        return one + other if sign == "+" else one - other if sign == "-" else one * other
    if left == "x":
        return int(total) - int(right) if sign == "+" else int(total) + int(right)
    return int(total) - int(left) if sign == "+" else int(left) - int(total)


def colour(instruction: str, elements: list[Element]) -> str | None:
    """The box whose fill is named."""
    word = re.search(r"on the (\w+) colored", instruction)
    boxes = (
        one for one in elements if word and word[1] in (one["fill"], *re.split(r"[\s:;]+", one["style"]))
    )
    return maybe(next(boxes, None))


def coordinate(instruction: str, elements: list[Element]) -> str | None:
    """The dot at the place that is asked for, on a grid from -2 to 2."""
    found = re.search(r"\((-?\d),\s*(-?\d)\)", instruction)
    dots = [one for one in elements if one["tag"] == "circle"]
    if not found or not dots:
        return None
    columns = sorted({round(one["x"]) for one in dots})
    rows = sorted({round(one["y"]) for one in dots}, reverse=True)
    x, y = columns[int(found[1]) + 2], rows[int(found[2]) + 2]
    return maybe(next((one for one in dots if abs(one["x"] - x) < 2 and abs(one["y"] - y) < 2), None))


def phone(instruction: str, elements: list[Element]) -> str | None:
    """Turn pages until the person shows, then what is asked of them."""
    name = re.search(r"Find (\w+) in", instruction)
    what = re.search(r"their (\w+)", instruction)
    shown = next((one for one in elements if one["tag"] == "h2" and name and one["own"] == name[1]), None)
    if shown and what:
        return maybe(
            next((one for one in elements if what[1] in one["cls"].split() and one["tag"] == "a"), None)
        )
    return maybe(next((one for one in elements if one["tag"] == "a" and one["own"] == ">"), None))


def table(instruction: str, elements: list[Element]) -> str | None:
    """The cell beside the one that is named."""
    key = re.search(r"value of (.+?) into", instruction)
    cells = [one["own"] for one in elements if one["tag"] == "td"]
    if not key or key[1] not in cells:
        return None
    return fill(elements, {"tt": cells[cells.index(key[1]) + 1]})


def number_parity(instruction: str, elements: list[Element]) -> str | None:
    """Every number in its row of two buttons, then submit."""
    for one in elements:
        if "display-number" in one["cls"]:
            word = "odd" if int(one["own"]) % 2 else "even"
            row = [
                b
                for b in elements
                if b["tag"] == "button" and abs(b["y"] - one["y"]) < 12 and word in b["cls"]
            ]
            if row and "selected" not in row[0]["cls"] and "rgb" not in row[0]["style"]:
                return click(row[0])
    return submit(elements)


def transform(instruction: str, elements: list[Element]) -> str | None:
    """The letters from left to right."""
    letters = [one for one in elements if one["tag"] == "span" and len(one["own"]) == 1]
    return fill(elements, {"tt": "".join(one["own"] for one in letters)})


def pages() -> Iterator[tuple[str, Script]]:
    """Every page with its script."""
    for script, names in {
        button: "click-button unicode-test",
        named_button: "click-test click-test-2 click-test-transfer",
        sequence: "click-button-sequence",
        link: "click-link",
        tab: "click-tab",
        tabs: "click-tab-2 click-tab-2-easy click-tab-2-medium click-tab-2-hard",
        sections: "click-collapsible click-collapsible-nodelay "
        "click-collapsible-2 click-collapsible-2-nodelay",
        dialog: "click-dialog click-dialog-2",
        checks: "click-checkboxes click-checkboxes-large click-checkboxes-transfer click-option",
        widget: "click-widget",
        focus: "focus-text focus-text-2",
        enter: "enter-text enter-text-2 enter-text-dynamic",
        password: "enter-password",
        login: "login-user login-user-popup",
        arithmetic: "simple-arithmetic simple-algebra",
        colour: "click-color",
        coordinate: "grid-coordinate",
        phone: "phone-book",
        table: "read-table",
        number_parity: "odd-or-even",
        transform: "text-transform",
    }.items():
        for name in names.split():
            yield name, script


SCRIPTS: dict[str, Script] = dict(pages())
