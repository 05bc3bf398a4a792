"""What is drawn with drafts is distributed as the model says, whatever the head guesses."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from scipy.stats import chi2
from tiny import guessing, pack

from vlmloom.assemblies.generation import Acceptance, Sampling
from vlmloom.assemblies.generation.processors import Prefixes

NEVER = -1


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


VOCAB, DRAWS = 8, 20_000
PROMPT, FIRST = [1, 5, 2, 2], 3
SAMPLINGS = {
    "plain": Sampling(temperature=1.0),
    "shaped": Sampling(temperature=1.3, top_k=6, top_p=0.9, repetition_penalty=1.5),
}


def opening(scores, prefixes):
    """One token alone may follow the prompt."""
    allowed = scores[:, FIRST].clone()
    scores[prefixes.length == len(PROMPT)] = -torch.inf
    scores[:, FIRST] = allowed
    return scores


def model_of_8():
    """Its head's drafts stand and fall about as often."""
    return guessing(0.5, head="mtp", vocab=VOCAB, width=16, shared=True)


def draw(model, sampling, **how):
    """How often each run of three tokens was drawn.

    The token before them comes from the pass that reads the prompt, so that all three are drafted.
    """
    sampling = replace(sampling, further=(opening,))
    rows = model.generate(
        pack(model, [[PROMPT]], image=-1), copies=DRAWS, stop=NEVER, limit=5, sampling=sampling, **how
    )
    assert {row[0] for row in rows} == {FIRST}
    return Counter(tuple(row[1:4]) for row in rows)


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize("speculative", [0, 1, 3])
def test_three_tokens_of_a_vocabulary_of_8_are_distributed_as_the_model_says(name, speculative):
    """20,000 draws of 3 tokens against the processed distribution of the model, read run by run."""
    model, sampling, acceptance = model_of_8(), SAMPLINGS[name], Acceptance()
    counts = draw(model, sampling, speculative=speculative, acceptance=acceptance)
    expected = by_hand(model, [[*PROMPT, FIRST]], sampling, VOCAB, 3)
    assert math.isclose(sum(expected.values()), 1, rel_tol=1e-6)
    statistic, degrees = surprise(counts, expected)
    assert degrees > 100
    assert statistic < chi2.ppf(1 - 1e-4, degrees)
    if speculative:
        assert set(acceptance.gained) == set(range(1, speculative + 2))
        assert min(acceptance.gained.values()) > 0.1 * acceptance.gained.total()


@pytest.mark.parametrize("speculative", [0, 3])
def test_the_chi_squared_test_sees_a_distribution_that_is_a_little_off(speculative):
    """The same test refuses draws at temperature 1.1 where 1.0 is due."""
    model = model_of_8()
    counts = draw(model, Sampling(temperature=1.1), speculative=speculative)
    statistic, degrees = surprise(counts, by_hand(model, [[*PROMPT, FIRST]], SAMPLINGS["plain"], VOCAB, 3))
    assert statistic > chi2.ppf(1 - 1e-4, degrees)
