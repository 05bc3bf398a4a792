import pytest

from vlmloom.components.contracts.sample import Sample, Scene
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
            "'[' * 5000", "'[[[\"bar\", [0], [1' + '0' * 400 + '], [0, 0, 0]]], []]'",
            *(f"""'[[["bar", {x}, {y}, {colour}]], ["Sales of hats"]]'""" for x, y, colour in (
                ("[0, 1, 2]", "[3, 5, 2]", "[-1e308, 1e308, 1e308]"), ("[0, 1, 2]", "[3, 5, 2]", "[]"),
                ("[]", "[3, 5, 2]", "[0, 0, 1]"), ("[0, 1, 2]", "[3, 5, 2]", "[NaN, NaN, NaN]"))),
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
