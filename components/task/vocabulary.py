"""The things that scenes are made of: short names, categories, and what identifies them in every style."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A thing that can be shown: its name, its category, its Unicode code point in hexadecimal."""

    name: str
    category: str
    code: str


_ROWS = {
    "animal": "dog 1F436, fish 1F41F, owl 1F989, crab 1F980, cat 1F431, frog 1F438, pig 1F437, snail 1F40C",
    "food": "apple 1F34E, banana 1F34C, grapes 1F347, carrot 1F955, "
    "lemon 1F34B, pizza 1F355, egg 1F95A, corn 1F33D",
    "vehicle": "car 1F697, boat 26F5, rocket 1F680, bike 1F6B2, "
    "bus 1F68C, plane 2708, truck 1F69A, train 1F686",
    "clothes": "hat 1F452, shirt 1F455, shoe 1F45F, dress 1F457, "
    "socks 1F9E6, gloves 1F9E4, crown 1F451, scarf 1F9E3",
    "tool": "hammer 1F528, key 1F511, knife 1F52A, scissors 2702, "
    "axe 1FA93, lock 1F512, ladder 1FA9C, gear 2699",
    "music": "guitar 1F3B8, drum 1F941, trumpet 1F3BA, piano 1F3B9, "
    "violin 1F3BB, bell 1F514, banjo 1FA95, radio 1F4FB",
    "plant": "tree 1F333, rose 1F339, cactus 1F335, mushroom 1F344, "
    "leaf 1F341, tulip 1F337, palm 1F334, clover 1F340",
    "sky": "sun 2600, moon 1F319, star 2B50, cloud 2601, rainbow 1F308, snow 2744, fire 1F525, bolt 26A1",
}

CATEGORIES = tuple(_ROWS)

_COLUMNS = [[entry.split() for entry in row.split(", ")] for row in _ROWS.values()]

VOCABULARY = tuple(
    Entry(name, category, code)
    for rank in zip(*_COLUMNS, strict=True)
    for category, (name, code) in zip(CATEGORIES, rank, strict=True)
)
"""Chosen to look unlike each other and to have one short English name; every category comes first once, so
that the first 8 n things hold n of each."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 25, 35),
    "green": (20, 165, 50),
    "blue": (30, 80, 235),
    "yellow": (250, 215, 20),
    "purple": (150, 40, 200),
    "orange": (250, 130, 10),
    "pink": (250, 130, 190),
    "brown": (130, 75, 30),
}
"""Names and strong hues; the first are the easiest to tell apart."""

_CHINESE = (
    "red 红色, green 绿色, blue 蓝色, yellow 黄色, purple 紫色, orange 橙色, pink 粉色, "
    "brown 棕色, word 文字, digit 数字, cell 单元格, bar 柱, first 第一, second 第二, third 第三, "
    "fourth 第四, fifth 第五, sixth 第六, seventh 第七, eighth 第八, nothing 空"
)

WORDS: dict[str, dict[str, str]] = {"zh": dict(pair.split() for pair in _CHINESE.split(", "))}
"""What captions say beside the names of things, by language."""
