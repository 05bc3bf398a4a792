"""Several verifiers as one."""

import pytest

from vlmloom.components.contracts.reward import Verifier, VerifierFailed
from vlmloom.components.contracts.sample import Reward, Sample, Scene
from vlmloom.components.reward.combine import First
from vlmloom.registry import build

SAMPLE = Sample("t", "test", 0, [], "a cat", Scene(""))
PARTS = {"words": {"use": "reward/exact"}, "letters": {"use": "reward/edit"}}


class Told(Verifier):
    """Gives a value, or fails, and remembers what it was asked."""

    def __init__(self, value, **more):
        super().__init__(**more)
        self.value, self.asked = value, []

    def score(self, sample, response):
        self.asked.append(response)
        if self.value is None:
            raise RuntimeError("out of order")
        return Reward(self.value)


@pytest.mark.parametrize(
    ("name", "more", "values"),
    [
        ("all", {}, [1, 0, 0]),
        ("product", {}, [1, 0.6, 0]),
        ("mean", {"weights": {"letters": 3}}, [1, 0.7, 0]),
        ("first", {"weights": {"letters": 0.5}}, [1, 1, 0]),
    ],
)
def test_values(name, more, values):
    verifier = build({"use": f"reward/{name}", "parts": PARTS} | more)
    rewards = verifier.judge(SAMPLE, ["a cat", "cat", "?"])
    assert [round(reward.value, 3) for reward in rewards] == values
    assert rewards[0].parts["words"] == 1 and "words: answered 'cat'" in rewards[0].reason


@pytest.mark.parametrize("name", ["all", "mean", "product", "first"])
@pytest.mark.parametrize("inner", ["skip", 0.0])
def test_an_error_of_a_part_is_one_of_the_whole(name, inner):
    kind = type(build({"use": f"reward/{name}", "parts": PARTS}))
    parts = {"right": Told(0.5), "broken": Told(None, on_error=inner)}
    (reward,) = kind(parts=parts).judge(SAMPLE, ["x"])
    assert reward.value is None and reward.error == "broken: RuntimeError: out of order"
    (reward,) = kind(parts=parts, on_error=0.25).judge(SAMPLE, ["x"])
    assert reward.value == 0.25 and "out of order" in reward.error
    with pytest.raises(VerifierFailed, match="out of order"):
        kind(parts=parts, on_error="raise").judge(SAMPLE, ["x"])


def test_first_asks_no_further_than_it_must():
    last = Told(0.5)
    verifier = First(parts={"rule": build({"use": "reward/exact"}), "judge": last})
    assert [reward.value for reward in verifier.judge(SAMPLE, ["dog", "cat", "cow"])] == [0.5, 1, 0.5]
    assert last.asked == ["dog", "cow"]


def test_wrong_arguments_are_told():
    with pytest.raises(Exception, match="weights has 'word'; parts are words, letters"):
        build({"use": "reward/mean", "parts": PARTS, "weights": {"word": 1}})
    with pytest.raises(Exception, match=r"the weight of words is 2\.0; above 0 and at most 1 would be right"):
        build({"use": "reward/first", "parts": PARTS, "weights": {"words": 2}})
    with pytest.raises(Exception, match="reward/all: parts is empty"):
        build({"use": "reward/all", "parts": {}})
