import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.registry import build

HEAD = '<svg viewBox="0 0 100 100" xmlns="http://www.w3.org/2000/svg">'
RECT, DISC = (
    '<rect x="10" y="10" width="40" height="30" fill="red"/>',
    '<circle cx="70" cy="60" r="20" fill="blue"/>',
)
GOLD = f"{HEAD}{RECT}{DISC}</svg>"
SAMPLE = Sample("drawing", "test", 0, [], GOLD, Scene("k"))


@pytest.fixture(scope="module")
def verifier():
    return build({"use": "reward/svg"})


@pytest.mark.parametrize("answer", [GOLD, f"```svg\n{GOLD}\n```", f"Here: {GOLD} as asked."])
def test_gold_is_one(verifier, answer):
    assert verifier.judge(SAMPLE, [answer])[0].value == 1


@pytest.mark.parametrize(
    "answers",
    [
        [GOLD.replace("blue", "navy"), GOLD.replace("blue", "yellow")],
        [GOLD.replace("70", "68"), GOLD.replace("70", "62"), GOLD.replace("70", "20")],
        [GOLD.replace('r="20"', 'r="18"'), GOLD.replace('r="20"', 'r="10"'), GOLD.replace(DISC, "")],
    ],
)
def test_more_wrong_is_worth_less(verifier, answers):
    values = [reward.value for reward in verifier.judge(SAMPLE, [GOLD, *answers])]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values)


@pytest.mark.parametrize(
    "attack",
    [
        "", "red square and blue disc", "<svg>", f"{HEAD}</svg>",
        f"{HEAD}<rect width='100' height='100' fill='#ccd'/></svg>",
        f"{HEAD}<rect width='100' height='100' fill='#765'/></svg>",
        f"{HEAD}<image href='file:///etc/passwd' width='9' height='9'/></svg>",
        f"{HEAD}<script>while(true){{}}</script></svg>",
        "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><svg>&b;&b;</svg>",
        f"{HEAD}{'<g>' * 3000}{'</g>' * 3000}</svg>", f"{HEAD}<use id='a' href='#a'/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'><filter id='f'><feGaussianBlur "
        "stdDeviation='1e6'/></filter><rect width='1e9' height='1e9' filter='url(#f)'/></svg>",
    ],
)  # fmt: skip
def test_attacks_are_worth_nothing(verifier, attack):
    reward = verifier.judge(SAMPLE, [attack])[0]
    assert reward.error is None and reward.value < 0.05


def test_a_gold_drawing_that_cannot_be_drawn_is_told(verifier):
    reward = verifier.judge(Sample("drawing", "test", 0, [], "<svg", Scene("k")), [GOLD])[0]
    assert reward.value is None and "NotDrawn" in reward.error
