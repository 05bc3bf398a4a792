"""Labelled JSON, tables and grids."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from vlmloom.pipelines.trust.attacks import DIGITS
from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.pipelines.trust.words import WORDS


def fields(dice: random.Random) -> Iterator[Labelled]:
    """`reward/json`."""
    for _ in range(16):
        names = dice.sample(WORDS, 4)
        items: list[dict[str, Any]] = [
            {"name": name, "price": dice.randint(100, 999) / 100} for name in names
        ]
        gold = {"shop": names[0].title(), "year": 2019, "paid": True, "items": items, "note": None}
        off: dict[str, Any] = {"shop": "Zed", "year": 2018, "paid": False, "note": "x"}
        chain = [gold | dict(list(off.items())[:n]) for n in range(5)]
        chain += [chain[-1] | {"items": items[:n]} for n in (3, 2, 1)]
        doubled = json.dumps(gold)[:-1] + ', "shop": "other"}'
        yield Labelled(
            {"use": "reward/json", "relative": 0.01},
            json.dumps(gold),
            right=(
                json.dumps(gold, indent=2),
                f"```json\n{json.dumps(gold)}\n```",
                json.dumps(dict(reversed(gold.items()))),
                json.dumps(gold | {"shop": names[0].upper()}),
                f"Here it is:\n```json\n{json.dumps(gold)}\n```",
                json.dumps(gold | {"items": [item | {"price": item["price"] * 1.004} for item in items]}),
            ),
            wrong=(
                "{}",
                "[]",
                json.dumps(off | {"items": []}),
                json.dumps({"a": gold}),
                json.dumps([gold]),
                json.dumps({"shop": gold["shop"]}),
                json.dumps(list(gold.values())),
                str(gold),
            ),
            attacks={
                "keys twice": doubled,
                "NaN field": json.dumps(off | {"year": float("nan")}),
                "fields of everything": json.dumps({word: word for word in WORDS * 50}),
                "many items": json.dumps(gold | {"items": items * 2000}),
            },
            partial=DIGITS,
            worse=tuple(map(json.dumps, chain)),
        )


PLAIN = "border-collapse: collapse; border: 1px solid #000; font-size: 0.9em; text-align: left"
"""A style as models write it, which hides nothing."""


def markup(rows: list[list[str]], cell: str = "td") -> str:
    """An HTML table."""
    lines = ("".join(f"<{cell}>{text}</{cell}>" for text in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def table(dice: random.Random) -> Iterator[Labelled]:
    """`reward/table`."""
    for _ in range(16):
        rows = [dice.sample(WORDS, 3), *([str(dice.randint(10, 99)) for _ in range(3)] for _ in range(4))]
        gold = markup(rows)
        blotted_rows = [[["#"] * 3] * n + rows[n:] for n in range(6)]
        shorter = [rows[:n] for n in (5, 4, 3, 2, 1)]
        bomb = markup([["x"] * 40] * 100)
        yield Labelled(
            {"use": "reward/table"},
            gold,
            right=(
                gold.replace("<tr>", "\n <tr>"),
                f"```html\n{gold}\n```",
                f"<html><body>{gold}</body></html>",
                gold.replace("td>", "th>", 6),
                gold.replace("<td>", "<td style='color:red'>").replace("</tr>", "</TR>"),
                gold.replace(rows[0][0], f"<b>{rows[0][0]}</b>"),
                gold.replace("<table>", "<table border=1><tbody>"),
                gold.replace("<table>", f"<table style='{PLAIN}'>"),
                f"<style>table, td {{{PLAIN}}} td {{color: rgb(0, 0, 0)}}</style>\n{gold}",
            ),
            wrong=(
                "<table></table>",
                gold + gold,
                json.dumps(rows),
                markup([["#"]]),
                "<td>a</td>",
                bomb,
                markup([["#"] * 9] * 30),
            ),
            attacks={
                "scripts in a table": "<table><script>alert(1)</script><tr><td onclick=x>1</td></tr></table>",
                "spans": "<table><tr><td colspan=99999999999 rowspan=-1>x</td></tr></table>",
                "nested tables": "<table><tr><td>" * 2000,
                "many cells": "<table>" + "<tr><td>1</td></tr>" * 4000,
                "entities": "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>" + markup([["&b;"]]),
                "in a comment": f"<!-- {gold} --><table></table>",
                "in a script": f"<script>{gold}</script>",
                "cells struck out": gold.replace("<td>", "<td><del>").replace("</td>", "</del></td>"),
                "caption that denies": gold.replace(
                    "<table>", "<table><caption>All of this is wrong</caption>"
                ),
                "words between rows": gold.replace("</tr>", "</tr>not this", 1),
                "hidden": gold.replace("<table>", "<table hidden>"),
                "struck out by a style sheet": f"<style>td {{text-decoration: line-through}}</style>{gold}",
                "unseen by its style": gold.replace("<table>", "<table style='display: none'>"),
                "table in a template": f"<template>{gold}</template>",
            },
            partial=DIGITS,
            worse=tuple(map(markup, blotted_rows if dice.random() < 0.5 else shorter)),
        )


def grid(dice: random.Random) -> Iterator[Labelled]:
    """`reward/grid`, whole and by its cells."""
    for turn in range(20):
        side = dice.randint(3, 6)
        rows = [[dice.randint(1, 9) for _ in range(side)] for _ in range(side)]
        text = "\n".join(" ".join(map(str, row)) for row in rows)
        chain = [[[0] * side] * n + rows[n:] for n in range(side + 1)]
        yield Labelled(
            {"use": "reward/grid", "whole": turn % 2 == 0},
            text,
            right=(
                json.dumps(rows),
                text.replace(" ", ""),
                f"```\n{text}\n```",
                text.replace(" ", ", "),
                f"\n{text}\n",
            ),
            wrong=(
                json.dumps([[0] * side] * side),
                text + "\n" + text.split("\n")[0],
                "0",
                json.dumps(rows[:-1]),
                json.dumps([[*row, 1] for row in rows]),
                json.dumps([[str(cell) for cell in row] for row in rows]),
            ),
            attacks={
                "huge": json.dumps([[1] * 300] * 300)[:90_000],
                "cells of all": json.dumps([[[1, 2, 3]] * side] * side),
            },
            fair=DIGITS,
            worse=tuple(map(json.dumps, chain)),
        )
