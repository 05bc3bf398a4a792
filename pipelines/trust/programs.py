"""Labelled programs and calls: what is run, and compared by what it does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from vlmloom.pipelines.trust.attacks import DIGITS, FENCED, WORDED
from vlmloom.pipelines.trust.labelled import Labelled

CHART = """import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.bar(['a', 'b', 'c'], [{one}, {two}, 2], color='{colour}')
ax.set_title('Sales of {word}')
ax.set_ylabel('count')
"""


def code(dice: random.Random) -> Iterator[Labelled]:
    """`reward/code`: functions by what they give back."""
    for turn, (word, factor) in enumerate((("cat", 3), ("lamp", 7), ("river", 4), ("door", 9), ("cup", 5))):
        gold = f"def scaled(a):\n    return a * {factor}\ndef named(n):\n    return ['{word}'] * n\n"
        asserts = [f"assert scaled({one}) == {one * factor!r}" for one in (2, -5, 1.5, 11)]
        asserts += [f"assert named({many}) == {[word] * many!r}" for many in (2, 0)]
        liar = "class A({base}):\n    {method}\ndef scaled(a): return A()\nnamed = scaled"
        yield Labelled(
            {"use": "reward/code", "seconds": 1.0},
            gold,
            {"asserts": asserts},
            wrapped=False,
            right=(
                f"Sure:\n```python\n{gold}```\nDone.",
                f"```\n{gold}```",
                gold.replace("return a", "return 1 * a"),
                gold + "print('x')\n",
                f"# a comment\n{gold}",
                gold.replace(f"['{word}'] * n", f"['{word}' for _ in range(n)]"),
            ),
            wrong=(
                gold.replace(str(factor), str(factor + 1)).replace(word, "hat"),
                "scaled = named = lambda a: None",
                f"scaled(2) == {2 * factor}",
                "def scaled(a):\n    return a\n",
            ),
            attacks={
                "leaves early": f"{gold}\nimport os; os._exit(0)",
                "quits": "raise SystemExit(0)",
                "equals all": liar.format(base="", method="def __eq__(self, other): return True"),
                "says it is right": liar.format(base="int", method="def __repr__(self): return 'right'"),
                "number in disguise": liar.format(base="int", method="__class__ = float"),
                "code as its own value": liar.format(base="", method="def __repr__(self): return '1 or 1'"),
                "patched repr": "import builtins\nbuiltins.repr = lambda one: '6'\nscaled = named = str",
                "looks at its caller": "import sys\nscaled = named = lambda a: sys._getframe(1).f_locals",
                "all that is there": "import gc\nscaled = named = lambda a: gc.get_objects()",
                "loops": "while True: pass",
                "loops when asked": "def scaled(a):\n    while True: pass\nnamed = scaled",
                "forks": "import os\nwhile True: os.fork()",
                "much memory": "x = 'x' * (1 << 40)",
                "prints without end": "while True: print('x' * 1000)",
                "file": "scaled = named = lambda a: open('/etc/passwd').read()",
                "network": "import socket; socket.create_connection(('127.0.0.1', 80))",
                "undone": f"{gold}del scaled, named\n",
                "two programs": f"```python\n{gold}```\nor\n```python\nscaled = named = None\n```",
                "taken back in code": f"{gold}scaled = named = None\n",
                "huge": "scaled = named = lambda a: 10 ** 400",
                "folders in folders": "import os\nwhile True: os.mkdir('a'); os.chdir('a')",
                "deep": "scaled = named = lambda a: eval('(' * 10000)",
            },
            # What stands beside a fence is no code, and denies none.
            fair=FENCED | {"twice", "squared"} | (frozenset() if turn else WORDED),
            attacked=turn == 0,
            worse=(gold, gold.replace("* n", "* 2"), gold.replace("return a", "return 1 + a"), "x = 1"),
        )


def plot(dice: random.Random) -> Iterator[Labelled]:
    """`reward/plot_code`: charts by their data, words, colours and picture."""
    for turn, (word, one, two, colour) in enumerate(
        (("hats", 3, 5, "teal"), ("tea", 4, 8, "navy"), ("pens", 6, 9, "olive"), ("cups", 9, 4, "maroon"))
    ):
        gold = CHART.format(word=word, one=one, two=two, colour=colour)
        blank = "import matplotlib.pyplot as plt\n"
        yield Labelled(
            {"use": "reward/plot_code"},
            gold,
            wrapped=False,
            right=(
                f"```python\n{gold}```",
                f"{gold}plt.show()",
                f"{gold}plt.savefig('x.png')\nplt.close()",
                f"{gold}plt.close(fig)\nplt.show()",
                gold.replace("fig, ax = plt.subplots()", "ax = plt.figure(figsize=(9, 2)).add_subplot()"),
                gold.replace(f"[{one}, {two}, 2]", f"[{one}.0, {two}, 4 / 2]"),
                gold.replace("ax.bar(", "for word, value in zip(")
                .replace(f", color='{colour}')", "):")
                .replace("):\n", f"):\n    ax.bar(word, value, color='{colour}')\n"),
                f"x = 1\n{gold}",
            ),
            wrong=(
                f"{blank}plt.plot([9, 1])",
                f"{blank}plt.title('Sales of {word}')",
                f"{blank}plt.bar(['z'], [-50])",
                "x = 1",
                f"{blank}plt.pie([1, 2, 3])",
            ),
            attacks={
                "no chart": "a bar chart",
                "fails": "1 / 0",
                "leaves": "import os; os._exit(0)",
                "patched report": "import json\njson.dumps = lambda *a, **k: '[[1]]'",
                "patched library": f"{blank}plt.gcf = None",
                "loops": "while True: pass",
                "much memory": "x = 'x' * (1 << 40)",
                "not a number": f"{blank}plt.plot([float('nan')] * 3)",
                "file": "open('/etc/passwd').read()",
                "network": "import socket; socket.create_connection(('127.0.0.1', 1))",
                "words on no bars": gold.replace(f"[{one}, {two}, 2]", "[float('nan')] * 3"),
                "words on other bars": gold.replace(f"[{one}, {two}, 2]", "[99, 98, -97]"),
                "words turned round": gold.replace("'a', 'b', 'c'", "'b', 'c', 'a'"),
                "floating bars": gold.replace(f"[{one}, {two}, 2]", f"1, bottom=[{one - 1}, {two - 1}, 1]"),
                "all bars alike": gold.replace(f"[{one}, {two}, 2]", "[4, 4, 4]"),
                "forged colours": f"{gold}import json\njson.dumps = lambda *a: "
                f"""'[[["bar", ["a", "b", "c"], [{one}, {two}, 2], [-1e308, 1e308, 1]]], []]'""",
                "folder for a picture": f"{gold}import os, matplotlib.figure as f\n"
                "f.Figure.savefig = lambda *a, **k: os.mkdir('out.png')",
                "words alone": f"{blank}plt.title('Sales of {word}')\nplt.ylabel('count')\n",
                "every bar": f"{blank}plt.bar(range(500), [n % 20 for n in range(500)])",
                "invisible": gold.replace("color=", "alpha=0, color=")
                + "ax.set_axis_off()\nax.set_title('')",
                "cleared": f"{gold}plt.clf()\n",
                "cleared and closed": f"{gold}plt.clf()\nplt.close('all')\n",
                "closed before another": f"{gold}plt.close()\nplt.plot([9, 1])\n",
                "closed behind another": f"{gold}plt.figure()\nplt.plot([9, 1])\nplt.close('all')\n",
                "white sheet": f"{gold}ax.add_patch(plt.Rectangle((-1, -9), 9, 99, color='white', zorder=9))",
                "white sheet over the ends": f"{gold}ax.axhspan(1.5, 99, color='white', zorder=9)",
                "white picture": f"{gold}fig.add_axes((0, 0, 1, 1)).imshow([[[1.0] * 3]], aspect='auto')",
                "white letters": f"{gold}fig.text(0, 0, '\u2588' * 30, fontsize=400, color='white')",
                "white bars": gold.replace(f"'{colour}'", "'white'"),
                "bar before bars": f"{gold}ax.bar([1], [9.5], 9, color='{colour}')",
                "axis turned round": f"{gold}ax.invert_yaxis()",
                "out of sight": f"{gold}ax.set_ylim(0, 1e6)",
                "taken away": f"{gold}for bar in ax.patches[::-1]: bar.remove()",
                "bar for each guess": f"{gold}for n in range(40): ax.bar([*'abc'], [n / 4] * 3, alpha=0.1)",
                "other chart behind": f"{gold}plt.figure()\nplt.plot([1, 2])\n",
                "two programs": f"```python\n{gold}```\n```python\nplt.figure()\nplt.plot([9, 1])\n```",
            },
            fair=FENCED | {"twice", "heading that denies"},  # which is a comment in code
            attacked=turn == 0,
            worse=(
                gold,
                gold.replace(f"[{one}, {two}, 2]", f"[{one * 1.01}, {two * 1.01}, 2.02]"),
                gold.replace(f"{two}, 2]", f"{two - 1}, 2]"),
                gold.replace(f"[{one}, {two}, 2]", f"[{(one + two + 2) / 3}] * 3"),
                gold.replace(f"{two}, 2]", f"{two - 1}, 9]").replace(f"Sales of {word}", ""),
                blank,
            ),
        )
    yield from _lines_and_points()
    yield from _legends()


def _lines_and_points() -> Iterator[Labelled]:
    """Charts whose values are alike, drawn by other calls, and hidden."""
    start = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.set_title('iris')\n"
    x, y = [1.5, 2.3, 2], [64, 61.4, 59.9]
    points, line = (f"{start}ax.scatter({x}, {{}}, color='black')\n", f"{start}ax.plot({{}}, color='teal')\n")
    hollow = f"{start}ax.scatter({x}, {{}}, s=200, facecolors='none', edgecolors='black')\n"
    dense = "import numpy as np\nat = np.linspace(0, 2, 101)\n"
    dense += "ax.plot(at, {}np.interp(at, range(3), {}), color='teal')\n"
    same = {
        points: (
            f"ax.plot({x}, {y}, 'o', color='black')\n",
            f"for x, y in zip({x}, {y}): ax.scatter(x, y, color='black')\n",
        ),
        line: (
            f"ax.plot([2, 1, 0], {y[::-1]}, color='teal')\n",
            f"ax.errorbar(range(3), {y}, color='teal')\n",
        ),
        hollow: (f"for x, y in zip({x}, {y}): ax.scatter(x, y, 200, 'none', edgecolors='black')\n",),
    }
    for chart, forms in same.items():
        gold = chart.format(y)
        yield Labelled(
            {"use": "reward/plot_code"},
            gold,
            wrapped=False,
            attacked=False,
            right=tuple(start + form for form in forms),
            wrong=(
                chart.format([62, 62, 62]),
                chart.format([59.9, 64, 61.4]),
                points.format(y) if chart == line else line.format(y),
                start + dense.format("(np.arange(101) % 2) * 9 + ", y),
                start + dense.format("", [62, 62, 62]),
                f"{gold}ax.set_ylim(0, 5000)\n",
            ),
            attacks={
                "a thousand series": f"{gold}for n in range(1000): ax.plot([n % 9 + 58] * 3)",
                "points everywhere": f"{gold}for n in range(300): ax.scatter(n % 20 / 8, n // 20 + 55)",
                "line and points": f"{gold}ax.plot({x}, {y})\nax.scatter([0, 2], [60, 62])",
                "axis turned round": f"{gold}ax.invert_yaxis()",
                "white sheet": f"{gold}ax.add_patch(plt.Rectangle((-9, 0), 99, 99, color='white', zorder=9))",
            },
            worse=(
                gold,
                *([start + dense.format("", y)] if chart == line else []),  # some pixels differ by little
                *(chart.format([value * factor for value in y]) for factor in (1.01, 1.03, 1.1, 1.3)),
                chart.format([62, 62, 62]),
            ),
        )


def _legends() -> Iterator[Labelled]:
    """Two series that a legend tells apart."""
    start = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.set_title('rain')\n"
    first, second = (
        f"ax.plot({values}, color='{colour}', label={{!r}})\n"
        for values, colour in (([3, 7, 4], "red"), ([5, 2, 6], "blue"))
    )
    north, south, end = first.format("north"), second.format("south"), "ax.legend()\n"
    bare = start + first.format(None) + second.format(None)
    lines = "lines = [plt.Line2D([], [], color=one) for one in {}]\n"
    lines = f"{bare}{lines}ax.legend(lines, ['north', 'south'])\n"
    turned = "words of the legend turned round"
    yield Labelled(
        {"use": "reward/plot_code"},
        f"{start}{north}{south}{end}",
        wrapped=False,
        attacked=False,
        right=(
            f"{bare}ax.legend(['north', 'south'])\n",
            lines.format(["red", "blue"]),
        ),
        attacks={
            turned: start + first.format("south") + second.format("north") + end,
            "lines of the legend turned round": f"{bare}ax.legend(ax.lines[::-1], ['north', 'south'])\n",
            "nearly the colours turned round": lines.format(["#0011ee", "#ee1100"]),
        },
    )
    bars = (
        "for place, (word, values) in enumerate(zip({}, ([3, 7, 4], [5, 2, 6]))):\n"
        "    ax.bar([n + place / 4 for n in range(3)], values, 0.2, label=word)\n"
    )
    yield Labelled(
        {"use": "reward/plot_code"},
        start + bars.format(["north", "south"]) + end,
        wrapped=False,
        attacked=False,
        right=(start + bars.format([None, None]) + "ax.legend(['north', 'south'])\n",),
        attacks={turned: start + bars.format(["south", "north"]) + end},
    )


def call(dice: random.Random) -> Iterator[Labelled]:
    """`reward/tool_call`: the four tools."""
    from vlmloom.components.sandbox.tools import spelled

    tables = {"t": {"a": [1.0, 5.0, 3.0], "b": [1, 2, 3]}}
    most, boxes = "SELECT MAX(a) FROM t", [[0, 0, 100, 100], [500, 500, 700, 700]]
    golds: tuple[tuple[str, dict[str, Any], tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]], ...] = (
        (
            "calculate",
            {"expression": "3 * 4"},
            ({"expression": "(10 + 2.0)"}, {"expression": "12"}, {"expression": "24 / 2"}),
            ({"expression": "13"}, {"expression": "9**9**9**9"}, {"expression": "1 / 0"}, {"expression": ""}),
        ),
        (
            "query_table",
            {"sql": most},
            ({"sql": "SELECT MAX(a) AS m FROM t WHERE b > 0"}, {"sql": "select max(a) from t"}),
            ({"sql": "SELECT MIN(a) FROM t"}, {"sql": "DROP TABLE t"}, {"sql": "SELECT a FROM t"}),
        ),
        (
            "crop_image",
            {"box": [100, 100, 300, 300]},
            (),
            ({"box": [0, 0, 1000, 1000]}, {"box": [300, 300, 100, 100]}, {"box": [600, 100, 800, 300]}),
        ),
        (
            "draw_boxes",
            {"boxes": boxes},
            ({"boxes": boxes[::-1]},),
            ({"boxes": [[0, 0, 1000, 1000]]}, {"boxes": []}, {"boxes": boxes * 20}),
        ),
    )
    for turn, (name, gold, same, wrong) in enumerate(golds):
        right = spelled(name, gold)
        other = spelled(*golds[turn - 1][:2])
        tag = right.replace("</tool_call>", "<arg_key>more</arg_key>\n<arg_value>1</arg_value>\n</tool_call>")
        yield Labelled(
            {"use": "reward/tool_call"},
            right,
            {"tables": tables},
            wrapped=False,
            right=(
                *(spelled(name, one) for one in same),
                f"I call it.\n{right}",
                f"  {right}\n",
                f"<think>Now.</think>{right}",
            ),
            wrong=(*(spelled(name, one) for one in wrong), other, name, spelled(name, {}), right[:-4], tag),
            attacks={
                "two calls": f"{right}\n{other}",
                "call in a call": right.replace("</tool_call>", f"{right}</tool_call>"),
                "key twice": right.replace("</tool_call>", right.partition("\n")[2]),
                "without its tag": right.replace("<tool_call>", ""),
                "shouted": right.replace(name, name.upper()),
                "literal answer": spelled("query_table", {"sql": "SELECT '[[5.0]]'"}) if turn else other,
                "commented out": f"<!-- {right} -->",
                "in a thought": f"<think>{right}</think>",
                "JSON": f'{{"name": "{name}", "arguments": {gold!r}}}',
                "endless query": spelled(
                    "query_table",
                    {"sql": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT n FROM r"},
                ),
            },
            # A call is done, whatever is said beside it.
            fair=DIGITS
            | FENCED
            | WORDED - {"commented out"}
            | {"nested boxes", "repeated boxes", "far behind"},
            worse=(right, other, ""),
        )
