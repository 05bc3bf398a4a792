"""Greedy speculative decoding gives the tokens of plain decoding, and counts what drafts gained."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from tiny import DENSE, guessing, native, pack, prompt

from vlmloom.assemblies.generation import Acceptance, Sampling
from vlmloom.assemblies.generation.processors import Prefixes

NEVER = -1
NEAR = 1e-5
"""Two best logits so near may change places with the order of a sum."""


def prompts(count):
    """Text alone, one picture, several pictures."""
    dice = np.random.default_rng(0)
    found = []
    for seed in range(count):
        first, last = dice.integers(1, 12, 2).tolist()
        pictures = [tuple(dice.integers(1, 4, 2).tolist()) for _ in range(seed % 3)]
        found.append(prompt(first, *pictures, last, seed=seed))
    return found


@torch.no_grad()
def first_difference_is_near(model, parts, one, other, sampling):
    """Whether the two best scores are near where two answers part."""
    at = next(place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])
    batch = pack(model, [[*parts, one[:at]] if at else parts])
    scores = model.logits(model.hidden(batch)[0][-1:])
    prefixes = Prefixes(batch.ids[None], torch.tensor([0]), torch.tensor(batch.lengths), batch.lengths[0])
    for processor in sampling.processors():
        scores = processor(scores, prefixes)
    best = scores[0].topk(2).values
    return float(best[0] - best[1]) < NEAR


def alternating(scores, prefixes):
    """An even id after an odd one, and an odd one after an even."""
    last = prefixes.ids[prefixes.row, prefixes.length - 1]
    same = (torch.arange(scores.shape[1]) - last[:, None]) % 2 == 0
    return scores.masked_fill_(same, -torch.inf)


HEADS = {
    "shared": {"shared": True},
    "own modules": {"head": "mtp", "depth": 3, "shared": False},
    "visual embedding": {"shared": True, "visual_input": "visual_embedding"},
    "masked": {"shared": True, "visual_input": "masked"},
    "shared set": {"shared": True, "visual_input": "shared_set", "set_tokens": 4},
    "selective": {"shared": True, "dsa": True},
}
SAMPLINGS = {
    "plain": Sampling(),
    "penalty": Sampling(repetition_penalty=1.4),
    "alternating": Sampling(further=(alternating,)),
}


def compare(model, asked, sampling, limit, acceptance=None):
    """The rows that differ from plain decoding, all of them where the two best scores are near."""
    how = {"stop": NEVER, "limit": limit, "sampling": sampling}
    wanted = model.generate(pack(model, asked), **how)
    got = model.generate(pack(model, asked), speculative=3, acceptance=acceptance, **how)
    differing = [triple for triple in zip(asked, wanted, got, strict=True) if triple[1] != triple[2]]
    for parts, one, other in differing:
        assert first_difference_is_near(model, parts, one, other, sampling)
    return len(differing)


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("kind", HEADS)
def test_greedy_equals_plain_decoding_on_200_prompts(kind, sampling):
    """Text and pictures of unequal length in one batch; drafts stand and fall at every depth."""
    acceptance = Acceptance()
    model, asked = guessing(**HEADS[kind]), prompts(200)
    assert compare(model, asked, sampling, 12, acceptance) <= 2
    gained = acceptance.gained
    assert set(gained) == {1, 2, 3, 4} and min(gained.values()) > 0.03 * gained.total()


@pytest.mark.parametrize("kind", HEADS)
def test_greedy_equals_plain_decoding_where_hardly_a_draft_stands(kind):
    layers = {"layers": [DENSE]} if kind == "selective" else {}
    assert compare(native(**HEADS[kind] | layers), prompts(50), SAMPLINGS["penalty"], 12) <= 1


@pytest.mark.parametrize("make", [native, guessing])
def test_stops_and_limits_are_kept(make):
    model, asked = make(), prompts(12)
    whole = model.generate(pack(model, asked), stop=NEVER, limit=20)
    stops = [whole[0][4], whole[5][9]]
    limits = [20, 1, 2, 3, 0, 17, 5, 6, 7, 8, 9, 20]
    plain = model.generate(pack(model, asked), stop=stops, limit=limits)
    assert model.generate(pack(model, asked), stop=stops, limit=limits, speculative=4) == plain
    assert len({len(row) for row in plain}) > 6


def test_drafts_that_stand_are_counted():
    model, asked, acceptance = guessing(0.05), prompts(20), Acceptance()
    how = {"stop": NEVER, "limit": 30, "speculative": 3, "acceptance": acceptance}
    passes = [[emission.gained for emission in step] for step in model.stream(pack(model, asked), **how)]
    # The pass that reads the prompts gives each row its first token, and is not counted.
    assert passes[0] == [1] * 20
    assert acceptance.gained == Counter(gained for step in passes[1:] for gained in step)
    assert sum(gained * times for gained, times in acceptance.gained.items()) == 20 * 29
    assert set(acceptance.gained) == {1, 2, 3, 4}
    assert acceptance.mean == 20 * 29 / acceptance.gained.total() > 2
    assert str(acceptance).startswith(f"{acceptance.mean:.2f} tokens a forward pass (1: ")


def test_drafts_that_stand_behind_a_stop_are_not_counted():
    """Every draft of a pass stands and the first of them is the stop: the pass gained one token, not four."""
    model, cut = guessing(0.05), 0
    for parts in prompts(20):
        batch, acceptance = pack(model, [parts]), Acceptance()
        passes = [step[0].ids for step in model.stream(batch, stop=NEVER, limit=30, speculative=3)]
        before = next((at for at, ids in enumerate(passes) if at and len(ids) == 4), 0)
        answer, stop = [token for ids in passes[:before] for token in ids], passes[before][0]
        if not before or stop in answer:
            continue
        cut += 1
        got = model.generate(batch, stop=stop, limit=30, speculative=3, acceptance=acceptance)
        assert got == [answer]
        assert acceptance.gained == Counter([*map(len, passes[1:before]), 1])
    assert cut > 3


def test_acceptance_of_nothing():
    assert str(Acceptance()) == "0.00 tokens a forward pass (none)"


def test_a_processor_that_looks_back_holds_at_every_drafted_place():
    asked, acceptance = prompts(30), Acceptance()
    how = {"limit": 12, "speculative": 3, "sampling": SAMPLINGS["alternating"], "acceptance": acceptance}
    model = guessing()
    for parts, answer in zip(asked, model.generate(pack(model, asked), stop=NEVER, **how), strict=True):
        assert all((one - other) % 2 for one, other in pairwise([parts[-1][-1], *answer]))
    assert acceptance.gained[4] > 10
