"""The published answer format."""

import pytest

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.task.boxed import boxed
from vlmloom.registry import build

BOX = "<|begin_of_box|>7<|end_of_box|>"
GOOD = "<think>two and five</think>\n<answer>It is <|begin_of_box|>7<|end_of_box|>.</answer>"
BAD = {
    "bare": "7",
    "empty": "",
    "no thoughts": "<answer><|begin_of_box|>7<|end_of_box|></answer>",
    "no box": "<think></think><answer>7</answer>",
    "two boxes": f"<think></think><answer>{BOX.replace('7', '6')}{BOX}</answer>",
    "box in a box": f"<think></think><answer>{BOX.replace('7', BOX)}</answer>",
    "box in the thoughts": "<think><|begin_of_box|>7<|end_of_box|></think><answer>7</answer>",
    "turned round": "<think></think><answer><|end_of_box|>7<|begin_of_box|></answer>",
    "LaTeX box": "<think>\\boxed{7}</think><answer><|begin_of_box|>7<|end_of_box|></answer>",
    "nested": "<think><think></think></think><answer><|begin_of_box|>7<|end_of_box|></answer>",
    "two answers": GOOD + GOOD,
    "denied": "<think></think><answer>It is not <|begin_of_box|>7<|end_of_box|>; it is 8</answer>",
    "retracted": "<think></think><answer>wrong: <|begin_of_box|>7<|end_of_box|></answer>",
    "corrected": "<think></think><answer><|begin_of_box|>7<|end_of_box|>. Actually it is 8.</answer>",
    "struck out": "<think></think><answer>~~<|begin_of_box|>7<|end_of_box|>~~</answer>",
    "behind the answer": GOOD + " or 8",
    "answer in the thoughts": "<think><answer><|begin_of_box|>7<|end_of_box|></answer></think>",
}


def sample(answer="7"):
    return Sample("t", "test", 0, [], answer, Scene(""))


@pytest.fixture(scope="module")
def strict():
    return build({"use": "reward/boxed", "verifier": {"use": "reward/number"}})


@pytest.mark.parametrize("gold", ["7", boxed("7")])
def test_the_form_and_the_answer_are_right(strict, gold):
    reward, wrong = strict.judge(sample(gold), [GOOD, GOOD.replace("7", "8")])
    assert (reward.value, reward.parts["format"], reward.error) == (1, 1, None)
    assert (wrong.value, wrong.parts["format"]) == (0, 1)


@pytest.mark.parametrize("kind", BAD)
def test_another_form_is_worth_nothing(strict, kind):
    (reward,) = strict.judge(sample(), [BAD[kind]])
    assert (reward.value, reward.parts, reward.error) == (0, {"format": 0}, None)
    assert reward.reason.startswith("format: ")


@pytest.mark.parametrize(
    "kind", ["bare", "empty", "two boxes", "box in a box", "LaTeX box", "box in the thoughts"]
)
def test_the_lenient_form_still_wants_one_box(kind):
    lenient = build({"use": "reward/boxed", "verifier": {"use": "reward/number"}, "strict": False})
    values = [one.value for one in lenient.judge(sample(), [BAD[kind], "so <|begin_of_box|>7<|end_of_box|>"])]
    assert values == [0, 1]


class Broken(Verifier):
    """Fails for one answer."""

    def score(self, sample, response):
        raise RuntimeError("out of order")


@pytest.mark.parametrize("inner", ["skip", "raise"])
def test_a_failure_inside_is_a_failure(inner):
    from vlmloom.components.contracts.reward import VerifierFailed
    from vlmloom.components.reward.boxed import Boxed

    verifier = Boxed(verifier=Broken(on_error=inner))
    if inner == "raise":
        with pytest.raises(VerifierFailed, match="out of order"):
            verifier.judge(sample(), [GOOD])
    else:
        bad, failed = verifier.judge(sample(), ["7", GOOD])
        assert bad.value == 0 and bad.error is None
        assert failed.value is None and "out of order" in failed.error
