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

_KEYS = (
    "red green blue yellow purple orange pink brown "
    "word digit cell bar first second third fourth fifth sixth seventh eighth nothing "
    "animal food vehicle clothes tool music plant sky "
    "left right above below up down large small yes no top_left top_right bottom_left bottom_right"
).split()

_WORDS = {
    "zh": "红色 绿色 蓝色 黄色 紫色 橙色 粉色 棕色 "
    "文字 数字 单元格 柱 第一张 第二张 第三张 第四张 第五张 第六张 第七张 第八张 空 "
    "动物 食物 交通工具 服饰 工具 音乐 植物 天空 "
    "左边 右边 上方 下方 上 下 大 小 是 否 左上角 右上角 左下角 右下角",
    "es": "rojo verde azul amarillo morado naranja rosado marrón "
    "palabra dígito celda barra primera segunda tercera cuarta quinta sexta séptima octava nada "
    "animal comida vehículo ropa herramienta música planta cielo "
    "izquierda derecha encima debajo arriba abajo grande pequeño sí no "
    "arriba_a_la_izquierda arriba_a_la_derecha abajo_a_la_izquierda abajo_a_la_derecha",
    "de": "rot grün blau gelb lila orange rosa braun "
    "Wort Ziffer Zelle Balken erste zweite dritte vierte fünfte sechste siebte achte nichts "
    "Tier Essen Fahrzeug Kleidung Werkzeug Musik Pflanze Himmel "
    "links rechts darüber darunter oben unten groß klein ja nein "
    "oben_links oben_rechts unten_links unten_rechts",
}

WORDS: dict[str, dict[str, str]] = {
    language: {
        key.replace("_", " "): word.replace("_", " ") for key, word in zip(_KEYS, words.split(), strict=True)
    }
    for language, words in _WORDS.items()
}
"""What is said beside the names of things, by language."""

_EVERYDAY = {
    "zh": "dog 狗, cat 猫, pig 猪, apple 苹果, hat 帽子, tree 树, moon 月亮, shoe 鞋, knife 刀, piano 钢琴, "
    "lock 锁, leaf 叶子, clover 三叶草, bolt 闪电, truck 卡车, shirt 衬衫",
    "es": "dog perro, cat gato, pig cerdo, apple manzana, hat sombrero, tree árbol, boat barco, shoe zapato, "
    "knife cuchillo, piano piano, lock candado, leaf hoja, clover trébol, bolt rayo, truck camión, "
    "snow copo de nieve, corn maíz",
    "de": "dog Hund, cat Katze, pig Schwein, apple Apfel, hat Hut, tree Baum, moon Mond, boat Boot, "
    "shoe Schuh, knife Messer, piano Klavier, lock Schloss, leaf Blatt, clover Kleeblatt, bolt Blitz, "
    "star Stern, snow Schneeflocke, mushroom Pilz, corn Mais, train Zug, gear Zahnrad",
}

EVERYDAY: dict[str, dict[str, str]] = {
    language: dict(pair.split(" ", 1) for pair in row.split(", ")) for language, row in _EVERYDAY.items()
}
"""Plain names where a source names the drawing (a dog's face, high voltage) and not the thing."""


def written(name: str, language: str) -> str:
    """A source's name as the language writes it: sources lower German nouns, of which the last word is one.

    >>> written("fliegende untertasse", "de"), written("platillo volante", "es")
    ('fliegende Untertasse', 'platillo volante')
    """
    if language != "de":
        return name
    *before, noun = name.split(" ")
    return " ".join([*before, noun[:1].upper() + noun[1:]])
