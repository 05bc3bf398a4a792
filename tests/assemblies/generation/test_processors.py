"""Logits processors equal those of transformers of the same name, alone and in their order."""

from types import SimpleNamespace

import pytest
import torch

from vlmloom.assemblies.generation.processors import (
    Forbid,
    Prefixes,
    RepetitionPenalty,
    Sampling,
    Temperature,
    TopK,
    TopP,
)

transformers = pytest.importorskip("transformers")
from transformers import (  # noqa: E402
    GenerationConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

ROWS, VOCAB, LENGTH = 6, 50, 9


@pytest.fixture
def scores():
    scores = torch.randn(ROWS, VOCAB, generator=torch.Generator().manual_seed(0)) * 3
    scores[0, 7] = scores[0, 12] = scores[0].max() + 1  # ties at the top, and below
    scores[1, 3:9] = scores[1, 3]
    return scores


@pytest.fixture
def ids():
    ids = torch.randint(0, VOCAB, (ROWS, LENGTH), generator=torch.Generator().manual_seed(1))
    ids[2, 4] = ids[2, 1]
    return ids


def whole(ids):
    rows, length = ids.shape
    return Prefixes(ids, torch.arange(rows), torch.full((rows,), length), length)


CASES = {
    "penalty above 1": (RepetitionPenalty(1.3), RepetitionPenaltyLogitsProcessor(1.3)),
    "penalty below 1": (RepetitionPenalty(0.7), RepetitionPenaltyLogitsProcessor(0.7)),
    "temperature": (Temperature(0.6), TemperatureLogitsWarper(0.6)),
    "one": (TopK(1), TopKLogitsWarper(1)),
    "five": (TopK(5), TopKLogitsWarper(5)),
    "more than there are": (TopK(999), TopKLogitsWarper(999)),
    "a little": (TopP(0.1), TopPLogitsWarper(0.1)),
    "most": (TopP(0.95), TopPLogitsWarper(0.95)),
    "all": (TopP(1.0), TopPLogitsWarper(1.0)),
    "forbidden": (Forbid((3, 49)), SuppressTokensLogitsProcessor([3, 49])),
}


@pytest.mark.parametrize("case", CASES)
def test_each_equals_its_namesake(case, scores, ids):
    ours, theirs = CASES[case]
    wanted = theirs(ids, scores.clone())
    torch.testing.assert_close(ours(scores.clone(), whole(ids)), wanted, rtol=0, atol=0)


def processed(sampling, scores, ids):
    scores = scores.clone()
    for processor in sampling.processors():
        scores = processor(scores, whole(ids))
    return scores


@pytest.mark.parametrize(
    "numbers", [(0.8, 0.7, 12, 1.2), (2.5, 0.6, 20, 0.8), (0.3, 1.0, 5, 1.0), (1.0, 0.4, 0, 1.3)], ids=str
)
def test_all_together_run_in_transformers_order(numbers, scores, ids):
    how = dict(zip(("temperature", "top_p", "top_k", "repetition_penalty"), numbers, strict=True))
    ours = processed(Sampling(**how), scores, ids)
    config = GenerationConfig(do_sample=True, eos_token_id=0, **how)
    mixin = transformers.generation.GenerationMixin()
    mixin.config = SimpleNamespace(is_encoder_decoder=False)
    processors = mixin._get_logits_processor(
        generation_config=config,
        input_ids_seq_length=LENGTH,
        encoder_input_ids=ids,
        prefix_allowed_tokens_fn=None,
        logits_processor=LogitsProcessorList(),
        device="cpu",
    )
    torch.testing.assert_close(ours, processors(ids, scores.clone()), rtol=0, atol=0)
    assert 1 < torch.isfinite(ours).sum(-1).max() < 20


def test_further_processors_see_what_the_model_gave_and_all_others_what_they_made_of_it(scores, ids):
    how = {"temperature": 0.8, "top_p": 0.7, "repetition_penalty": 1.2, "forbidden": (7,)}
    favour = torch.randn(VOCAB, generator=torch.Generator().manual_seed(2)) * 5
    further = (lambda scores, prefixes: scores + favour, lambda scores, prefixes: 2 * scores)
    wanted = processed(Sampling(**how), 2 * (scores + favour), ids)
    assert torch.equal(processed(Sampling(**how, further=further), scores, ids), wanted)
    assert not torch.equal(processed(Sampling(**how, further=further[::-1]), scores, ids), wanted)
    assert not torch.equal(2 * (processed(Sampling(**how), scores, ids) + favour), wanted)


def test_a_prefix_shared_by_several_places_is_cut_to_each(scores, ids):
    """Three places of one row, as drafts make them, and one of another."""
    row, length = torch.tensor([2, 2, 2, 5]), torch.tensor([1, 2, 5, 9])
    got = RepetitionPenalty(1.5)(scores[:4].clone(), Prefixes(ids, row, length, 9))
    theirs = RepetitionPenaltyLogitsProcessor(1.5)
    for place in range(4):
        wanted = theirs(ids[row[place], : length[place]][None], scores[place : place + 1].clone())
        torch.testing.assert_close(got[place : place + 1], wanted, rtol=0, atol=0)


def test_greedy_leaves_out_what_shapes_a_draw():
    sampling = Sampling(temperature=0, top_p=0.5, top_k=3, repetition_penalty=1.1, forbidden=(4,))
    assert sampling.processors() == [RepetitionPenalty(1.1), Forbid((4,))]
    assert Sampling(temperature=1).processors() == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0; it must be 0 or more"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5; it must be above 0 and at most 1"),
        ({"top_k": -2}, "top_k is -2; it must be 0 or more"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; it must be above 0"),
    ],
)
def test_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**wrong)
