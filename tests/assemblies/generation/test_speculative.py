"""Speculative decoding gives what plain decoding gives: the same tokens, or the same distribution."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from tiny import DENSE, native, pack, prompt

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


HEADS = {
    "shared": {"shared": True},
    "own modules": {"head": "mtp", "depth": 3, "shared": False},
    "visual embedding": {"shared": True, "visual_input": "visual_embedding"},
    "masked": {"shared": True, "visual_input": "masked"},
    "shared set": {"shared": True, "visual_input": "shared_set", "set_tokens": 4},
    "selective": {"shared": True, "dsa": True, "layers": [DENSE]},
}


def compare(model, asked, sampling, limit):
    """The rows that differ from plain decoding, all of them where the two best scores are near."""
    how = {"stop": NEVER, "limit": limit, "sampling": sampling}
    wanted = model.generate(pack(model, asked), **how)
    got = model.generate(pack(model, asked), speculative=3, **how)
    differing = [triple for triple in zip(asked, wanted, got, strict=True) if triple[1] != triple[2]]
    for parts, one, other in differing:
        assert first_difference_is_near(model, parts, one, other, sampling)
    return len(differing)


def test_greedy_equals_plain_decoding_on_200_prompts():
    model = native(shared=True)
    assert sum(compare(model, prompts(200)[at : at + 50], Sampling(), 10) for at in range(0, 200, 50)) <= 2


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(repetition_penalty=1.4)], ids=["plain", "penalty"])
def test_greedy_equals_plain_decoding_with_every_head(kind, sampling):
    assert compare(native(**HEADS[kind]), prompts(12), sampling, 12) <= 1


def test_stops_and_limits_are_kept():
    model = native()
    asked = prompts(12)
    whole = model.generate(pack(model, asked), stop=NEVER, limit=20)
    stops = [whole[0][4], whole[5][9]]
    limits = [20, 1, 2, 3, 0, 17, 5, 6, 7, 8, 9, 20]
    plain = model.generate(pack(model, asked), stop=stops, limit=limits)
    assert model.generate(pack(model, asked), stop=stops, limit=limits, speculative=4) == plain
    assert len({len(row) for row in plain}) > 6


def copied_trunk(**arguments):
    """A model whose head guesses well: both the trunk's last block and the head's add almost nothing."""
    model = native(layers=[DENSE], head="mtp", **arguments)
    with torch.no_grad():
        for block in (*model.language.blocks, *(step.block for step in model.heads()["mtp"].steps)):
            block.out.weight.mul_(0.05)
            block.ffn.down.weight.mul_(0.05)
        step = model.heads()["mtp"].steps[0]
        # The embedding alone passes: what the trunk says after a token, the head says before it is read.
        step.eh_proj.weight.copy_(torch.cat([torch.eye(32), torch.zeros(32, 32)], 1))
    return model


def test_good_guesses_are_accepted_and_counted():
    model = copied_trunk(shared=True)
    asked = prompts(20)
    acceptance = Acceptance()
    how = {"stop": NEVER, "limit": 30}
    got = model.generate(pack(model, asked), speculative=3, acceptance=acceptance, **how)
    assert got == model.generate(pack(model, asked), **how)
    # The prompts' own pass gave the first token of each row; what it gained behind its limit is counted too.
    total = sum(tokens * count for tokens, count in acceptance.gained.items())
    assert 20 * 29 <= total < 20 * (29 + 3)
    assert set(acceptance.gained) <= {1, 2, 3, 4} and acceptance.gained[1] and acceptance.gained[4]
    assert acceptance.mean > 2
    assert acceptance.mean == pytest.approx(total / acceptance.gained.total())
    assert str(acceptance).startswith(f"{acceptance.mean:.2f} tokens a forward pass (1: ")


def test_acceptance_of_nothing():
    assert str(Acceptance()) == "0.00 tokens a forward pass (none)"


def by_hand(model, parts, sampling, vocab, tokens):
    """The probability of every run of so many tokens, place by place, after all processors."""
    found = {(): 1.0}
    for _ in range(tokens):
        longer = {}
        runs = list(found)
        batch = pack(model, [[*parts, list(run)] if run else parts for run in runs], image=-1)
        with torch.no_grad():
            hidden, _ = model.hidden(batch)
            scores = model.logits(hidden[batch.boundaries[1:].long() - 1])
        longest = max(batch.lengths)
        ids = torch.zeros(len(runs), longest, dtype=torch.long)
        for row, own in enumerate(batch.ids.split(batch.lengths)):
            ids[row, : len(own)] = own
        prefixes = Prefixes(ids, torch.arange(len(runs)), torch.tensor(batch.lengths), longest)
        for processor in sampling.processors():
            scores = processor(scores, prefixes)
        for run, shares in zip(runs, scores.double().softmax(-1).tolist(), strict=True):
            for token in range(vocab):
                longer[(*run, token)] = found[run] * shares[token]
        found = longer
    return found


def surprise(counts, expected):
    """The chi-squared statistic and its degrees of freedom, rare cells pooled."""
    total = sum(counts.values())
    assert all(expected[run] > 0 for run in counts), "a run was drawn that has no probability"
    cells = [(counts[run], share * total) for run, share in expected.items() if share > 0]
    common = [cell for cell in cells if cell[1] >= 5]
    rare = [cell for cell in cells if cell[1] < 5]
    if rare:
        common.append((sum(seen for seen, _ in rare), sum(due for _, due in rare)))
    return sum((seen - due) ** 2 / due for seen, due in common), len(common) - 1


SAMPLINGS = {
    "plain": Sampling(temperature=1.0),
    "shaped": Sampling(temperature=1.3, top_k=6, top_p=0.9, repetition_penalty=1.5),
}


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("speculative", [0, 1, 3])
def test_three_tokens_of_a_vocabulary_of_8_are_distributed_as_the_model_says(name, speculative):
    """20,000 draws of 3 tokens against the processed distribution of the model, read run by run."""
    sampling, vocab, draws = SAMPLINGS[name], 8, 20_000
    model = native(layers=[DENSE], head="mtp", vocab=vocab, width=16, shared=True, seed=1)
    with torch.no_grad():
        model.lm.unembed.weight.mul_(2)
    parts = [[1, 5, 2, 2]]
    acceptance = Acceptance()
    drawn = model.generate(
        pack(model, [parts], image=-1),
        copies=draws, stop=NEVER, limit=3, sampling=sampling, speculative=speculative, acceptance=acceptance,
    )  # fmt: skip
    counts = Counter(tuple(row) for row in drawn)
    expected = by_hand(model, parts, sampling, vocab, 3)
    assert math.isclose(sum(expected.values()), 1, rel_tol=1e-6)
    statistic, degrees = surprise(counts, expected)
    assert degrees > 20
    assert statistic < chi2.ppf(1 - 1e-4, degrees)
    if speculative > 1:
        assert acceptance.gained[1] and acceptance.gained[2], "drafts both fell and stood"


def test_the_chi_squared_test_sees_a_distribution_that_is_a_little_off():
    """The same test refuses draws at temperature 1.1 where 1.0 is due."""
    vocab, draws = 8, 20_000
    model = native(layers=[DENSE], head="mtp", vocab=vocab, width=16, shared=True, seed=1)
    parts = [[1, 5, 2, 2]]
    with torch.no_grad():
        model.lm.unembed.weight.mul_(2)
    drawn = model.generate(
        pack(model, [parts], image=-1), copies=draws, stop=NEVER, limit=3, sampling=Sampling(temperature=1.1)
    )
    expected = by_hand(model, parts, Sampling(temperature=1.0), vocab, 3)
    statistic, degrees = surprise(Counter(tuple(row) for row in drawn), expected)
    assert statistic > chi2.ppf(1 - 1e-4, degrees)
