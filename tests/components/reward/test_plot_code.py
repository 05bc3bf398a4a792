import json

import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.sandbox.figure import read_series
from vlmloom.registry import build

GOLD = """import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.bar(['a', 'b', 'c'], [3, 5, 2], color='teal')
ax.set_title('Sales of hats')
ax.set_ylabel('count')
"""
SAMPLE = Sample("plot", "test", 0, [], GOLD, Scene("k"))


@pytest.fixture(scope="module")
def verifier():
    return build({"use": "reward/plot_code"})


def test_gold_is_one_and_so_is_other_code_of_the_same_chart(verifier):
    other = GOLD.replace("fig, ax = plt.subplots()", "ax = plt.figure(figsize=(9, 2)).add_subplot()")
    values = [
        r.value for r in verifier.judge(SAMPLE, [GOLD, f"```python\n{GOLD}```", GOLD + "plt.show()", other])
    ]
    assert values == [1, 1, 1, 1]


def test_of_closed_figures_the_last_one_counts(verifier):
    whole = ["plt.savefig('x.png')\nplt.close()", "plt.show()\nplt.close('all')", "plt.close(fig)"]
    assert [r.value for r in verifier.judge(SAMPLE, [GOLD + end for end in whole])] == [1, 1, 1]
    none = ["plt.clf()\nplt.close()", "plt.close()\nplt.figure()", "plt.figure()\nplt.close('all')"]
    none += ["plt.close()\n_figures_closed[:] = [1]", "plt.close()\nplt.get_fignums = None"]
    assert [r.value for r in verifier.judge(SAMPLE, [GOLD + end for end in none])] == [0] * 5


CORRUPTIONS = {
    "data": [GOLD.replace("5, 2", "4.6, 2"), GOLD.replace("5, 2", "3, 2"), GOLD.replace("ax.bar", "ax.barh")],
    "text": [
        GOLD.replace("hats", "cats"), GOLD.replace("Sales of hats", "cats"),
        GOLD.replace("Sales of hats", "").replace("count", ""),
    ],
    "colour": [GOLD.replace("'teal'", "'green'"), GOLD.replace("'teal'", "'red'")],
}  # fmt: skip


@pytest.mark.parametrize("part", CORRUPTIONS)
def test_more_of_each_corruption_is_worth_less(verifier, part):
    rewards = verifier.judge(SAMPLE, [GOLD, *CORRUPTIONS[part]])
    values, parts = [reward.value for reward in rewards], [reward.parts[part] for reward in rewards]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values)
    assert parts == sorted(parts, reverse=True) and len(set(parts)) == len(parts)


@pytest.mark.parametrize(
    "attack",
    [
        "", "a bar chart", "1 / 0", "import os; os._exit(0)",
        "import matplotlib.pyplot as plt\nplt.title('Sales')",
        "import json\njson.dumps = lambda *a: '[[1]]'",
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "open('/etc/passwd').read()", "x = 'x' * (1 << 40)",
        "import matplotlib.pyplot as plt\nplt.plot([float('nan')] * 3)",
        "import matplotlib.pyplot as plt\nplt.bar(['a'], ['b'])\nplt.gcf = None",
        GOLD.replace("[3, 5, 2]", "[float('nan')] * 3"),
        GOLD + "import os, matplotlib.figure as f\nf.Figure.savefig = lambda *a, **k: os.mkdir('out.png')",
        *(f"{GOLD}import json\njson.dumps = lambda *a: {text}" for text in (
            "'[' * 5000", "'[[[0, \"bar\", [0], [1' + '0' * 400 + '], [\"#000000\"], [0]]], [], false, []]'",
            *(f"""'[[[0, "bar", {x}, {y}, {c}, [0, 0, 0]]], ["Sales of hats"], false, []]'""" for x, y, c in (
                ("[0, 1, 2]", "[3, 5, 2]", "[[-1e308, 1e308, 1e308]]"), ("[0, 1, 2]", "[3, 5, 2]", "[]"),
                ("[]", "[3, 5, 2]", '["#0000ff"]'), ("[0, 1, 2]", "[3, 5, 2]", "[NaN, NaN, NaN]"))),
        )),
    ],
)  # fmt: skip
def test_attacks_are_worth_nothing(verifier, attack):
    reward = verifier.judge(SAMPLE, [attack])[0]
    assert reward.error is None and reward.value < 0.1, reward


def test_right_words_with_wrong_values_are_worth_less_than_half_and_labels_count(verifier):
    wrong = [
        GOLD.replace("[3, 5, 2]", values)
        for values in ("[99, 98, -97]", "[1e308, -1e308, 0]", "[2, 3, 5]", "[3, 5, 2], bottom=9")
    ]
    wrong.append(GOLD.replace("['a', 'b', 'c']", "['d', 'e', 'f']"))
    assert all(reward.value < 0.5 for reward in verifier.judge(SAMPLE, wrong))
    other = GOLD.replace("(['a', 'b', 'c'], ", "(range(3), ")
    other += "ax.set_xticks(range(3), ['a', 'b', 'c'])"
    assert verifier.judge(SAMPLE, [other])[0].value == 1


def test_any_size_of_a_figure_is_the_same_and_gold_code_without_one_is_told(verifier):
    assert verifier.judge(SAMPLE, [GOLD.replace("subplots()", "subplots(figsize=(900, 900))")])[0].value == 1
    reward = verifier.judge(Sample("plot", "test", 0, [], "x = 1", Scene("k")), [GOLD])[0]
    assert reward.value is None and reward.error == "RuntimeError: the gold code: nothing is plotted"


CHARTS = {
    "bar": ("ax.bar(['A', 'B', 'C', 'D'], {}, color='tab:blue')", [67.8, 66.1, 63.6, 61.1]),
    "barh": ("ax.barh(['A', 'B', 'C', 'D', 'E'], {}, color='teal')", [54.7, 54.5, 54.4, 55.7, 58.1]),
    "plot": ("ax.plot({}, color='crimson', marker='o')", [64, 61.4, 59.9, 59.4]),
    "scatter": ("ax.scatter([1.5, 2.3, 2], {}, color='black')", [6.6, 4.5, 6.3]),
    "pie": ("ax.pie({}, labels=['A', 'B', 'C', 'D', 'E'])", [45.3, 39.9, 48.5, 47.1, 44.8]),
}
"""Charts of `task/plot_to_code`: the call and its values."""
START = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.set_title('iris')\n"


def worth(verifier, gold, *forms):
    sample = Sample("plot", "test", 0, [], START + gold, Scene("k"))
    rewards = verifier.judge(sample, [START + form for form in (gold, *forms)])
    assert rewards[0].value == 1 and all(reward.error is None for reward in rewards)
    return [reward.value for reward in rewards[1:]]


@pytest.mark.parametrize("kind", CHARTS)
def test_small_errors_are_nearly_whole_larger_ones_worth_less_and_equal_values_least(verifier, kind):
    call, values = CHARTS[kind]
    # A pie of values that are all too large by one factor is the same pie.
    sign = [(-1) ** place if kind == "pie" else 1 for place in range(len(values))]
    errors = [
        [value * (1 + share * one) for value, one in zip(values, sign, strict=True)]
        for share in (0.01, 0.1, 0.3)
    ]
    equal, shuffled = [sum(values) / len(values)] * len(values), values[1:] + values[:1]
    *found, alike = worth(verifier, *(call.format(one) for one in (values, *errors, shuffled, equal)))
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.93 and alike < 0.2 and found[-1] < 0.2


def test_errors_that_differ_are_measured_by_what_the_values_differ(verifier):
    call, values = CHARTS["barh"]
    some = [[value + share * one for value, one in zip(values, (1, -1, 1, -1, 1), strict=True)]
            for share in (0.2, 0.5, 2)]  # fmt: skip
    found = worth(verifier, *(call.format(one) for one in (values, *some)))
    assert found == sorted(found, reverse=True) and found[1] > 0.85 and found[-1] < 0.2


BAR, BARH, PLOT, SCATTER, PIE = (call.format(values) for call, values in CHARTS.values())


@pytest.mark.parametrize(
    ("gold", "form"),
    [
        (BAR, f"for a, b in zip('ABCD', {CHARTS['bar'][1]}): ax.bar(a, b, color='tab:blue')"),
        (PLOT, f"y = {CHARTS['plot'][1]}\nax.plot(y, c='crimson')\nax.scatter(range(4), y, c='crimson')"),
        (PLOT, f"y = {CHARTS['plot'][1]}\nfor n in range(3): ax.plot([n, n + 1], y[n : n + 2], c='crimson')"),
        (SCATTER, f"ax.plot([1.5, 2.3, 2], {CHARTS['scatter'][1]}, 'ko')"),
        (SCATTER, f"for x, y in zip([1.5, 2.3, 2], {CHARTS['scatter'][1]}): ax.scatter(x, y, color='black')"),
        (SCATTER, SCATTER.replace("color='black'", "facecolors='none', edgecolors='black'")),
        (BAR, f"{BAR}\nax.axvspan(.5, 1.5, color='yellow', alpha=.3, zorder=5)"),
    ],
)  # fmt: skip
def test_the_same_picture_in_other_calls_is_worth_the_same(verifier, gold, form):
    assert worth(verifier, gold, form)[0] > 0.97


def test_bars_of_other_colours_lose_their_colours_alone(verifier):
    form = f"for a, b in zip('ABCD', {CHARTS['bar'][1]}): ax.bar(a, b)"
    assert 0.8 < worth(verifier, BAR, form)[0] < 0.95


@pytest.mark.parametrize(
    ("gold", "more"),
    [
        (BAR, "ax.add_patch(plt.Rectangle((-1, 0), 9, 99, color='white', zorder=9))"),
        (BAR, "fig.add_axes((0, 0, 1, 1)).imshow([[[1.0] * 3] * 9] * 9, aspect='auto')"),
        (BAR, "fig.text(0, 0, '\u2588' * 30, fontsize=400, color='white')"),
        (BAR, "ax.bar([1.5], [70], 9, color='tab:blue')"),
        (BARH, "ax.invert_xaxis()"),
        (PLOT, "ax.invert_yaxis()"),
        (PLOT, "ax.lines[0].set_color('white')"),
        (PLOT, "for n in range(1000): ax.plot([n % 9 + 58] * 4)"),
        (BAR, "for n in range(80): ax.bar(list('ABCD'), [n] * 4, color='tab:blue', alpha=.06)"),
        (SCATTER, "ax.plot([1.5, 2.3, 2], [6.6, 4.5, 6.3])"),
        (PLOT, "ax.set_ylim(0, 5000)"),
        (
            PLOT,
            "from matplotlib.transforms import Affine2D\n"
            "ax.lines[0].set_transform(Affine2D().scale(1, -1).translate(0, 123.4) + ax.transData)",
        ),
        (PLOT, "ax.lines[0].set(marker='', linestyle=(0, (1, 3000)))"),
        (PLOT, "ax.lines[0].set_clip_box(ax.bbox.shrunk(0.1, 0.1))"),
    ],
)
def test_what_cannot_be_seen_or_is_one_of_many_guesses_is_not_paid(verifier, gold, more):
    assert worth(verifier, gold, f"{gold}\n{more}")[0] < 0.3


TWO = "for y, c, word in zip(([3, 7, 4], [5, 2, 6]), ('red', 'blue'), {}):\n    ax.{}, color=c, label=word)\n"


@pytest.mark.parametrize(
    "call",
    [
        "plot(y",
        "plot(y, marker='o', ls=''",
        "scatter(range(3), y",
        "bar([n + (c == 'red') / 4 for n in range(3)], y, 0.2",
    ],
)
def test_words_of_the_legend_belong_to_their_series(verifier, call):
    gold, turned = (TWO.format(words, call) + "ax.legend()" for words in (["n", "s"], ["s", "n"]))
    none = TWO.format([None, None], call)
    other = f"{none}ax.legend([plt.Line2D([0], [0], color=c) for c in ('blue', 'red')], 'sn')"
    swapped, handles, without = worth(verifier, gold, turned, other, none)
    assert swapped < 0.5 and handles > 0.97 and 0.8 < without < 0.95


@pytest.mark.parametrize("values", [[3, 8, 5, 6], [-3, 8, 5, -6]])
def test_bars_that_float_are_worth_less_than_half(verifier, values):
    gold = f"ax.barh(['a', 'b', 'c', 'd'], {values})"
    floating = f"ax.barh(['a', 'b', 'c', 'd'], 1, left={[value - 1 for value in values]})"
    none = f"{gold[:-1]}, left=0)"
    assert worth(verifier, gold, none)[0] == 1 and worth(verifier, gold, floating)[0] < 0.3
    assert worth(verifier, floating, gold)[0] < 0.3
    upright = [form.replace("barh", "bar").replace("left", "bottom") for form in (gold, floating)]
    assert worth(verifier, *upright)[0] < 0.3


@pytest.mark.parametrize("form", ["ax.scatter({}, s=200", "ax.plot({}, ls='', marker='o', ms=15"])
def test_large_hollow_marks_are_seen_and_nothing_else_in_their_place(verifier, form):
    hollow = ", {}='none', {}='black')".format(
        *("mfc", "mec") if "ms" in form else ("facecolors", "edgecolors")
    )
    gold = form.format("[1, 2, 3], [5, 9, 4]") + hollow
    filled, white = gold.replace("'none'", "'black'"), gold.replace("'black'", "'white'")
    hidden = f"{gold}\nax.axhspan(0, 99, color='white', zorder=9)"
    vast = gold.replace("s=200", "s=90000").replace("ms=15", "ms=300")
    assert worth(verifier, gold, filled)[0] > 0.9
    assert max(worth(verifier, gold, white, hidden, vast)) < 0.2


def test_points_between_those_of_a_line_are_no_marks_but_other_ways_are(verifier):
    dense = "import numpy as np\nx = np.linspace(0, 3, {})\ny = np.interp(x, range(4), {})\n"
    dense += "ax.plot(x, y{}, color='crimson')"
    values = [64, 52, 59.9, 50.4]
    gold = f"ax.plot({values}, color='crimson')"
    right = [dense.format(many, values, "") for many in (31, 100, 301)]
    assert min(worth(verifier, gold, *right)) > 0.97
    wild = [dense.format(many, values, " + 9 * (np.arange(len(x)) % 2)") for many in (5, 301)]
    wild += ["y = [64, 50, 52, 64, 59.9, 50, 50.4]\nax.plot([0, .5, 1, 1.5, 2, 2.5, 3], y, color='crimson')"]
    wild += [dense.format(100, shuffled, "") for shuffled in (values[::-1], [57] * 4)]
    half = dense.format(100, values, "").replace("0, 3,", "0, 1.4,")
    wild += [half, gold.replace(str(values), f"[0, .001, .002, 3], [{values[0]}, 52, 59.9, 50.4]")]
    found = worth(verifier, gold, *wild)
    assert max(found) < 0.6, found


def test_a_line_may_go_either_way_through_its_points_and_keep_half_of_them(verifier):
    gold = "ax.plot([0, 1, 2, 3, 4], [64, 52, 59.9, 50.4, 61])"
    back = "ax.plot([4, 3, 2, 1, 0], [61, 50.4, 59.9, 52, 64])"
    fewer = "ax.plot([0, 1, 3, 4], [64, 52, 50.4, 61])"
    turned = "ax.plot([0, 2, 1, 3, 4], [64, 59.9, 52, 50.4, 61])"
    scribble = "ax.plot([0, 3, 1, 4, 2], [64, 50.4, 52, 61, 59.9])"
    values = worth(verifier, gold, back, fewer, turned, scribble)
    assert values[0] > 0.99 and 0.5 < values[1] < 0.9 and 0.5 < values[2] < 0.8 and values[3] < 0.5


@pytest.mark.parametrize("words", [["x", "y", "z"], ["Q1", "Q2", "Q3"], ["2019", "2020", "2021"]])
def test_bars_side_by_side_have_the_word_of_their_tick(verifier, words):
    form = (
        "for at, y in ((-.2, [3, 7, 4]), (.2, [5, 2, 6])):\n    ax.bar([n + at for n in {0}], y, .4)\n"
        "ax.set_xticks({0}, {1})"
    )
    gold = form.format([0, 1, 2], words)
    elsewhere, turned = form.format([1, 2, 3], words), form.format([0, 1, 2], words[1:] + words[:1])
    values = worth(verifier, gold, elsewhere, turned)
    assert values[0] > 0.99 and values[1] < 0.3


def test_a_line_may_have_gaps(verifier):
    gold = "ax.plot([1, float('nan'), 3, 5, 2])"
    assert worth(verifier, gold, "ax.plot([0, 2, 3, 4], [1, 3, 5, 2])")[0] > 0.95


def test_the_words_of_a_pie_are_those_beside_its_wedges(verifier):
    values, names = "[45.3, 39.9, 8.5, 1.1]", "['hat', 'cap', 'tie', 'bow']"
    gold = f"ax.pie({values}, labels={names})"
    same = [
        f"ax.pie({values}, labels={names}, autopct='%d%%')",
        f"ax.pie({values}, autopct='%.1f')\nax.legend({names})",
        f"ax.pie({values})\nfor one, name in zip(ax.patches, {names}): one.set_label(name)\nax.legend()",
    ]
    same += [
        f"ax.pie({values}, autopct='%.1f%%', pctdistance=1.15)\nax.legend({names})",
        f"ax.pie({values}, labels={names}, labeldistance=.5, autopct='%.1f%%', pctdistance=1.1)",
        f"{gold}\nax.text(1.3, 1.2, 'source: a survey')",
    ]
    assert min(worth(verifier, gold, *same)) > 0.8
    turned = f"{gold}\nfor one, name in zip(ax.texts, {names}[::-1]): one.set_text(name)"
    none = f"{gold}\nfor one in ax.texts: one.set_visible(False)"
    assert max(worth(verifier, gold, turned, none)) < 0.3


def test_bars_in_another_order_and_with_numbers_on_them_are_seen(verifier):
    forms = [f"{BARH}\nax.invert_yaxis()", f"{BARH}\nax.bar_label(ax.containers[0], label_type='center')"]
    assert min(worth(verifier, BARH, *forms)) > 0.8


def test_a_forged_description_is_read_soon_and_never_raises_unawares(verifier):
    marks = [[0, "scatter", [0] * 900, [1] * 900, [f"#{n:06x}" for n in range(900)], [0] * 900, [0, 0]]]
    with pytest.raises(ValueError, match="too much"):
        read_series(json.dumps([marks, [], False, [[0, "a", "#000000"]] * 1000]))
    infinite = [[0, "line", [0, 1], [float("inf")] * 2, ["#000000"] * 2, [0, 0], [0, 0]]] * 2
    assert read_series(json.dumps([infinite, [], False, []]))[0] == ()
    forged = f"{GOLD}import json\njson.dumps = lambda *a: '[[[0]], [], false, []]'"
    assert verifier.judge(SAMPLE, [forged])[0].value == 0


def test_a_gold_chart_in_the_colour_of_its_sheet_is_one_all_the_same(verifier):
    gold = f"plt.style.use('dark_background')\nfig, ax = plt.subplots()\n{BAR.replace('tab:blue', 'black')}"
    assert worth(verifier, gold, gold.replace("63.6", "33.6"))[0] < 0.8
