"""The learned reward: what it reads, and that no failure becomes a value."""

from dataclasses import replace

import pytest
import torch

from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.reward import Verifier, VerifierFailed
from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.objective.preference import Preference
from vlmloom.components.reward.model import RewardModel
from vlmloom.registry import build
from vlmloom.registry.errors import UserError

tiny = pytest.importorskip("tiny")
SAMPLE = Sample("t", "test", 0, ["?"], "1 2 3", Scene(""))


def read(samples):
    """Answers are numbers, each a token."""
    model = tiny.native()
    prompts = [[[int(word) for word in sample.answer.split()]] for sample in samples]
    return tiny.pack(model, prompts)


@pytest.fixture
def model():
    made = RewardModel(trunk=tiny.native()).eval()
    made.bind(read)
    return made


def test_packed_answers_are_worth_what_they_are_alone(model):
    assert isinstance(model, Verifier)
    answers = ["1 2 3", "4", "1 2 3 9", "7 7"]
    together = [reward.value for reward in model.judge(SAMPLE, answers)]
    alone = [model.judge(SAMPLE, [answer])[0].value for answer in answers]
    assert together == pytest.approx(alone, abs=1e-5) and len({round(value, 4) for value in alone}) == 4
    last = read([replace(SAMPLE, answer="1 2 3")])
    with torch.no_grad():
        hidden, _ = model.body.hidden(last)
        wanted = float(model.value(hidden[-1]))
    assert together[0] == pytest.approx(wanted, abs=1e-5)


def test_what_cannot_be_read_fails_and_takes_nothing_along(model):
    with torch.no_grad():
        good = model.judge(SAMPLE, ["1 2 3"])[0].value
        found = model.judge(SAMPLE, ["no number", "1 2 3", "1 " * 60_000])
    assert found[1].value == pytest.approx(good, abs=1e-5) and found[1].error is None
    assert found[0].value is None and "ValueError" in found[0].error
    assert found[2].value is None and found[2].error == "120,000 characters; at most 100,000 are judged"
    model.on_error = "raise"
    with pytest.raises(VerifierFailed, match="reward/model: ValueError"):
        model.judge(SAMPLE, ["no number"])


def test_a_value_that_is_not_finite_is_a_failure(model):
    with torch.no_grad():
        model.value.bias.fill_(float("nan"))
    (found,) = model.judge(SAMPLE, ["1 2"])
    assert found.value is None and found.error == "the value is nan"


def test_unbound_it_says_so():
    (found,) = RewardModel(trunk=tiny.native()).judge(SAMPLE, ["1"])
    assert "reward/run would be right" in found.error


def test_a_trunk_without_hidden_states_is_refused():
    with pytest.raises(UserError, match="gives no hidden states"):
        build({"use": "reward/model", "trunk": {"use": "ffn/swiglu", "width": 4, "hidden": 4}})


def test_a_lent_trunk_keeps_still_or_trains():
    for frozen in (True, False):
        model = RewardModel(trunk=Trunk(tiny.native()), frozen=frozen)
        batch = tiny.pack(tiny.native(), [[[1, 2]], [[3]]])
        batch.extras["gap"] = torch.ones(1)
        loss, _ = Preference()(model, batch)
        loss.backward()
        trained = {name.partition(".")[0] for name, part in model.named_parameters() if part.grad is not None}
        assert trained == ({"value"} if frozen else {"value", "trunk"})
