"""Labelled pages and drawings: what is rendered, and compared by how it looks."""

from __future__ import annotations

import html
import random
from collections.abc import Iterator

from vlmloom.pipelines.trust.attacks import FENCED, HELD, WORDED
from vlmloom.pipelines.trust.labelled import Labelled

HEAD = '<svg viewBox="0 0 100 100" xmlns="http://www.w3.org/2000/svg">'
PAGE = """<body style="margin:0;font:16px 'DejaVu Sans'">
<h1 style="color:{colour};margin:10px;font-size:20px">{title}</h1>
<div style="background:{ground};padding:20px"><p>The quick brown fox jumps</p>
<p style="color:green">over the lazy {word}</p></div>
<div style="position:absolute;top:240px;left:20px">Twelve {word}s</div></body>"""


def page(dice: random.Random) -> Iterator[Labelled]:
    """`reward/html`: pages by their text, its places and colours, and their picture."""
    for turn, (title, word, colour, ground) in enumerate(
        (
            ("Big news today", "dog", "#c00", "#def"),
            ("Opening hours", "hen", "#03a", "#fed"),
            ("Our small garden", "fern", "#060", "#ddd"),
        )
    ):
        gold = PAGE.format(title=title, word=word, colour=colour, ground=ground)
        words = f"{title} The quick brown fox jumps over the lazy {word} Twelve {word}s"
        hidden = "<p style='{}'>" + words + "</p>"
        yield Labelled(
            {"use": "reward/html"},
            gold,
            {"viewport": (400, 300)},
            wrapped=False,
            right=(
                f"Here it is:\n```html\n{gold}\n```",
                gold.replace("div", "section"),
                gold + "<script>document.body.innerHTML = ''; while (true) {}</script>",
                gold.replace("<body", "<!-- a page --><body"),
                gold.replace(f"color:{colour};margin:10px", f"margin:10px;color:{colour}"),
                gold + "<p style='display:none'>nothing that shows</p>",
                f"<style>* {{ transition: all 5s }}</style>{gold}",
                f"<style>@keyframes in {{ from {{ opacity: 0 }} }} body {{ animation: in 3s }}</style>{gold}",
            ),
            wrong=(
                "<body></body>",
                f"<p>{word}</p>",
                f"<h1>{title}</h1>",
                f"<p style='position:absolute;top:220px'>Twelve {word}s</p>",
                f"<body style='background:{ground}'><p>Lorem ipsum dolor sit amet</p></body>",
                f"<p>{words[::-1]}</p>",
                "I cannot write this page.",
            ),
            attacks={
                "white on white": hidden.format("color:#fff"),
                "without opacity": hidden.format("opacity:0"),
                "nearly without opacity": hidden.format("opacity:.004"),
                "no display": hidden.format("display:none"),
                "invisible": hidden.format("visibility:hidden"),
                "beside the page": hidden.format("position:absolute;left:-900px"),
                "no letters": hidden.format("font-size:0"),
                "dust": hidden.format("font-size:1px"),
                "scaled away": hidden.format("transform:scale(0)"),
                "cut off": hidden.format("clip-path:inset(100%)"),
                "transparent": hidden.format("color:transparent"),
                "turned over": hidden.format("transform:rotateY(180deg);backface-visibility:hidden"),
                "under a box": hidden.format("")
                + "<div style='position:fixed;inset:0;background:#fff'></div>",
                "in a closed box": f"<details><summary>x</summary>{hidden.format('')}</details>",
                "in a template": f"<template>{gold}</template>",
                "its own source": f"<pre>{html.escape(gold)}</pre>",
                "in a field": f"<textarea rows=2 cols=8>{words}</textarea>",
                "words of a picture": f"<img alt='{words}' src=x>",
                "wall of words": f"<p>{words} </p>" * 100,
                "heap": f"<p>{words}</p>",
                "heap in a heading": f"<h1>{words}</h1>",
                "heap without a tag": words,
                "heap as typed": f"<pre>{title}\n{words.removeprefix(title)}</pre>",
                "heap in its colours": f"<body style='background:{ground};color:{colour}'>{words}",
                "half a heap": f"<p>{words[: len(words) // 2]}</p>",
                "heap, line by line": "<br>".join(
                    (title, "The quick brown fox jumps", f"over the lazy {word}", f"Twelve {word}s")
                ),
                "one word a block": "".join(f"<i>{one}</i><br>" for one in words.split()),
                "alphabet": "<p>a b c d e f g h i j k l m n o p q r s t u v w x y z</p>" * 20,
                "written by a script": f"<script>document.write({gold!r})</script>",
                "elsewhere": "<iframe src='file:///etc/passwd'></iframe>"
                "<meta http-equiv=refresh content='0;url=http://example.org'>",
                "a million pixels": f"<p>{words}</p><div style='height:1000000px'></div>",
                "deep": "<div>" * 5_000,
                "nested tables": "<table>" * 300 + "x",
                "covered by other words": "<style>body::after { content: '"
                + "WRONG PAGE " * 40
                + f"'; position: fixed; inset: 0; background: #fff; font-size: 40px }}</style>{gold}",
                "blank but for a judge": "<style>body { opacity: .001 } "
                f"html:has(> style) body {{ opacity: 1 }}</style>{gold}",
                "ground in the colour of its words": "<style>h1, p, div "
                f"{{ background: currentcolor !important }}</style>{gold}",
                "dots for letters": f"<style>* {{ -webkit-text-security: disc }}</style>{gold}",
                "all words cut off": "<style>h1, p, div { clip-path: inset(0 90% 0 0) }</style>" + gold,
                "behind stripes": f"{gold}<div style='position:fixed;inset:0;background:"
                "repeating-linear-gradient(#fff 0 18px,transparent 18px 20px)'></div>",
                "covered": gold + "<div style='position:fixed;inset:0;background:#123'></div>",
            },
            # Words beside a page are on it, where they cost; a fence and a comment are not.
            partial=HELD
            | {
                "twice",
                "nested boxes",
                "repeated boxes",
                "look-alikes",
                "turned writing",
                "one word a block",
            },
            # A line through the words and a frame for browsers without scripts leave the page as it is.
            fair=FENCED | {"character references", "struck out in HTML"},
            attacked=turn == 0,
            worse=(
                gold,
                gold.replace(f"over the lazy {word}", ""),
                gold.replace(f"over the lazy {word}", "").replace("The quick brown fox jumps", ""),
                f"<p>{words}</p>",
                f"<p>{words[: len(words) // 2]}</p>",
                "<body></body>",
            ),
        )


def drawing(dice: random.Random) -> Iterator[Labelled]:
    """`reward/svg`: drawings by their pixels."""
    for turn, (x, y, red, blue) in enumerate(
        (
            (10, 10, "red", "blue"),
            (30, 20, "teal", "gold"),
            (5, 35, "black", "lime"),
            (40, 8, "pink", "navy"),
        )
    ):
        box = f'<rect x="{x}" y="{y}" width="40" height="30" fill="{red}"/>'
        disc = f'<circle cx="70" cy="70" r="20" fill="{blue}"/>'
        gold = f"{HEAD}{box}{disc}</svg>"

        def drawn(inner: str) -> str:
            return f"{HEAD}{inner}</svg>"

        yield Labelled(
            {"use": "reward/svg"},
            gold,
            wrapped=False,
            right=(
                f"```svg\n{gold}\n```",
                f"Here: {gold} as asked.",
                drawn(disc + box),
                drawn(f"<g>{box}{disc}</g>"),
                drawn(box + disc.replace("circle", "ellipse").replace('r="20"', 'rx="20" ry="20"')),
                f"<?xml version='1.0'?>\n{gold}",
            ),
            wrong=(
                drawn(""),
                drawn('<rect width="100" height="100" fill="#ccd"/>'),
                drawn('<circle cx="20" cy="80" r="9" fill="orange"/>'),
                "a square and a disc",
                "<svg>",
                gold[:-6],
            ),
            attacks={
                "sheet in the mean colour": drawn('<rect width="100" height="100" fill="#a78"/>'),
                "covered": drawn(f'{box}{disc}<rect width="100" height="100" fill="white"/>'),
                "defined alone": drawn(f"<defs>{box}{disc}</defs>"),
                "not displayed": drawn(f'<g display="none">{box}{disc}</g>'),
                "without opacity": drawn(f'<g opacity="0">{box}{disc}</g>'),
                "cut off": drawn(f'<clipPath id="c"/><g clip-path="url(#c)">{box}{disc}</g>'),
                "beside the sheet": drawn(f'<g transform="translate(500 0)">{box}{disc}</g>'),
                "tiny": drawn(f'<g transform="scale(.01)">{box}{disc}</g>'),
                "commented out": f"<!-- {gold} -->",
                "two drawings": f"{gold} or {drawn(disc)}",
                "file": drawn("<image href='file:///etc/passwd' width='9' height='9'/>"),
                "script": drawn("<script>while(true){}</script>"),
                "page inside": drawn(f"<foreignObject width='100' height='100'>{gold}</foreignObject>"),
                "entities": "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]><svg>&b;</svg>",
                "deep": drawn("<g>" * 3_000 + "</g>" * 3_000),
                "uses itself": drawn("<use id='a' href='#a'/>"),
                "many uses": drawn(
                    "<g id='a0'><rect width='1' height='1'/></g>"
                    + "".join(f"<g id='a{n + 1}'>{f'<use href=#a{n}/>' * 9}</g>" for n in range(9))
                ),
                "huge filter": drawn(
                    "<filter id='f'><feGaussianBlur stdDeviation='1e6'/></filter>"
                    "<rect width='1e9' height='1e9' filter='url(#f)'/>"
                ),
                "huge sheet": gold.replace("<svg ", "<svg width='1e9' height='1e9' ").replace(
                    "100 100", "1 1"
                ),
            },
            # A drawing is judged, whatever is said beside it.
            fair=FENCED | WORDED - {"commented out"} | {"nested boxes", "repeated boxes", "far behind"},
            attacked=turn == 0,
            worse=(gold, gold.replace('"70"', '"66"'), gold.replace(disc, ""), drawn("")),
        )
