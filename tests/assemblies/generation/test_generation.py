"""Decoding of packed prompts: limits, stops, rows that leave, draws that belong to a row, streams."""

import numpy as np
import pytest
import torch
from tiny import DENSE, SPARSE, VOCAB, native, pack, prompt

from vlmloom.assemblies.generation import Emission, Sampling
from vlmloom.assemblies.generation.noise import PURPOSES, streams, uniform
from vlmloom.registry.errors import BadInput

PROMPTS = [
    prompt(5, seed=1),
    prompt(2, (2, 3), 4, seed=2),
    prompt((1, 1), 1, (3, 2), (2, 2), 6, seed=3),
    prompt(17, seed=4),
    prompt(1, seed=5),
]
NEVER = -1


def old_greedy(model, batch, limit, stop=NEVER):
    """Greedy decoding as plainly as it can be written: the whole sequence again for every token."""
    answers = []
    for row in range(len(batch.lengths)):
        parts, answer = PROMPTS[row], []
        for _ in range(limit):
            hidden, _ = model.hidden(pack(model, [[*parts, answer] if answer else parts]))
            token = int(model.logits(hidden[-1:]).argmax())
            if token == stop:
                break
            answer.append(token)
        answers.append(answer)
    return answers


@pytest.mark.parametrize("model", [native(), native([DENSE], dsa=True)], ids=["experts", "selective"])
@torch.no_grad()
def test_greedy_equals_reading_the_whole_again_for_every_token(model):
    batch = pack(model, PROMPTS)
    assert model.generate(batch, stop=NEVER, limit=7) == old_greedy(model, batch, 7)


ONCE = Sampling(repetition_penalty=1e9)
"""No token comes twice in a row."""


def test_several_stops_end_rows_which_then_leave_the_batch(monkeypatch):
    model = native()
    how = {"limit": 12, "sampling": ONCE}
    whole = model.generate(pack(model, PROMPTS), stop=NEVER, **how)
    stops = {whole[0][3], whole[2][5], whole[4][0]}
    wanted = [row[: next((at for at, token in enumerate(row) if token in stops), 12)] for row in whole]
    lengths = np.array([len(row) for row in wanted])
    assert len(set(lengths)) > 2
    sizes, forward = [], model.language.forward

    def counted(*args, **rest):
        sizes.append(len(args[2]))
        return forward(*args, **rest)

    monkeypatch.setattr(model.language, "forward", counted)
    assert model.generate(pack(model, PROMPTS), stop=sorted(stops), **how) == wanted
    # The pass that reads the prompts, then one for every token after which a row goes on.
    assert sizes == [5, *(int((lengths > step).sum()) for step in range(min(lengths.max(), 11)))]


def test_every_row_has_its_own_limit():
    model = native()
    whole = model.generate(pack(model, PROMPTS), stop=NEVER, limit=9)
    limits = [3, 0, 9, 1, 6]
    got = model.generate(pack(model, PROMPTS), stop=NEVER, limit=limits)
    assert got == [row[:most] for row, most in zip(whole, limits, strict=True)]


def test_nothing_to_answer():
    model = native()
    assert model.generate(pack(model, []), stop=0, limit=3) == []
    assert model.generate(pack(model, PROMPTS[:2]), stop=0, limit=0) == [[], []]


def test_a_stream_gives_what_each_open_row_gained_and_how_it_ended():
    model, how = native(), {"limit": 5, "sampling": ONCE}
    whole = model.generate(pack(model, PROMPTS[:2]), stop=NEVER, **how)
    stop = whole[0][2]
    assert stop not in whole[1]
    steps = list(model.stream(pack(model, PROMPTS[:2]), stop=stop, **how))
    assert [emission for step in steps for emission in step if emission.row == 0] == [
        Emission(0, [whole[0][0]], None),
        Emission(0, [whole[0][1]], None),
        Emission(0, [], "stop"),
    ]
    assert [len(step) for step in steps] == [2, 2, 2, 1, 1]
    assert steps[-1] == [Emission(1, [whole[1][4]], "limit")]


def test_forbidden_ids_are_never_produced():
    model = native()
    free = {token for row in model.generate(pack(model, PROMPTS), stop=NEVER, limit=8) for token in row}
    got = model.generate(pack(model, PROMPTS), stop=NEVER, limit=8, sampling=Sampling(forbidden=tuple(free)))
    assert free.isdisjoint({token for row in got for token in row})


def test_a_repetition_penalty_sees_prompt_and_answer():
    """A penalty so large that nothing of the prompt and nothing of the answer can come again."""
    model = native()
    got = model.generate(pack(model, PROMPTS), stop=NEVER, limit=8, sampling=ONCE)
    for parts, answer in zip(PROMPTS, got, strict=True):
        read = [token for part in parts if isinstance(part, list) for token in part]
        assert len(set(answer)) == len(answer)
        assert set(answer) <= set(range(VOCAB)) - set(read)


DRAWN = Sampling(temperature=0.9, top_p=0.95, top_k=30, repetition_penalty=1.1, seed=7)


@pytest.mark.parametrize("speculative", [0, 2])
def test_a_row_draws_the_same_in_every_batch(speculative):
    model = native([DENSE, SPARSE], shared=True)
    keys = [11, 12, 13, 14, 15]
    how = {"stop": NEVER, "limit": 8, "sampling": DRAWN, "speculative": speculative}
    together = model.generate(pack(model, PROMPTS), keys=keys, **how)
    alone = [
        model.generate(pack(model, [parts]), keys=[key], **how)[0]
        for parts, key in zip(PROMPTS, keys, strict=True)
    ]
    assert together == alone
    turned = model.generate(pack(model, PROMPTS[::-1]), keys=keys[::-1], **how)
    assert turned[::-1] == together
    other = model.generate(pack(model, PROMPTS), keys=[key + 1 for key in keys], **how)
    assert other != together


@pytest.mark.parametrize("speculative", [0, 2])
def test_copies_answer_one_prompt_that_is_read_once(speculative):
    model = native(shared=True)
    how = {"stop": NEVER, "sampling": DRAWN, "speculative": speculative}
    got = model.generate(pack(model, PROMPTS[:2]), copies=3, keys=range(6), limit=[5, 6, 7, 0, 2, 6], **how)
    apart = [PROMPTS[0]] * 3 + [PROMPTS[1]] * 3
    assert got == model.generate(pack(model, apart), keys=range(6), limit=[5, 6, 7, 0, 2, 6], **how)
    assert len(set(map(tuple, got[:3]))) == 3


def test_another_seed_draws_otherwise_and_equal_keys_draw_alike():
    model = native()
    same = pack(model, [PROMPTS[1]] * 3)
    drawn = model.generate(same, stop=NEVER, limit=8, sampling=Sampling(temperature=1.0), keys=[4, 4, 5])
    assert drawn[0] == drawn[1] != drawn[2]
    again = model.generate(
        same, stop=NEVER, limit=8, sampling=Sampling(temperature=1.0, seed=1), keys=[4, 4, 5]
    )
    assert again[0] != drawn[0]


def test_the_noise_is_uniform_and_uncorrelated():
    """20,000 numbers in 100 equal bins, along places, along keys and between purposes."""
    count = 20_000
    place, key = np.arange(count), np.zeros(count, np.int64)
    along = {
        "places": uniform(streams(3, key), place, "choose"),
        "keys": uniform(streams(3, place.tolist()), key, "choose"),
        "seeds": np.concatenate([uniform(streams(seed, [0]), key[:1], "choose") for seed in range(2000)]),
    }
    for name, numbers in along.items():
        assert 0 <= numbers.min() and numbers.max() < 1
        counts = np.bincount((numbers * 100).astype(int), minlength=100)
        expected = len(numbers) / 100
        # Chi-squared of 99 degrees: above 160 once in ten thousand.
        assert ((counts - expected) ** 2 / expected).sum() < 160, name
        assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 4 / len(numbers) ** 0.5, name
    several = [uniform(streams(3, key), place, purpose) for purpose in PURPOSES]
    assert np.abs(np.corrcoef(several) - np.eye(len(PURPOSES))).max() < 4 / count**0.5


@pytest.mark.parametrize("speculative", [0, 2])
def test_answers_end_where_the_positions_do(speculative):
    """And not one token before: the last is not read, so it needs no position."""
    longer, bound = (native(head="mmtp", depth=2, glm={"max_positions": most}) for most in (200, 24))
    batch = pack(longer, PROMPTS)
    wanted = longer.generate(batch, stop=NEVER, limit=30)
    ends = [int(part.max()) + 1 for part in batch.positions.split(batch.lengths, dim=1)]
    found = bound.generate(batch, stop=NEVER, limit=10**9, speculative=speculative)
    assert [len(answer) for answer in found] == [25 - end for end in ends]
    assert found == [answer[: 25 - end] for answer, end in zip(wanted, ends, strict=True)]
    few = bound.generate(batch, stop=NEVER, limit=[1, 10**9, 2, 3, 10**9], speculative=speculative)
    assert few == [answer[:most] for answer, most in zip(found, [1, None, 2, 3, None], strict=True)]


def test_a_cache_without_memory_is_told_in_one_line():
    model = native(head="none")
    with pytest.raises(BadInput, match=r"no memory for 1 sequences of 1,000,000,000,005 tokens"):
        model.generate(pack(model, PROMPTS[:1]), stop=0, limit=10**12)


def test_errors():
    model = native(head="none")
    batch = pack(model, PROMPTS[:2])
    with pytest.raises(ValueError, match="limit: 3 given for 2 answers; one each would be right"):
        model.generate(batch, stop=0, limit=[1, 2, 3])
    with pytest.raises(ValueError, match="keys: 1 given for 2 answers; one each would be right"):
        model.generate(batch, stop=0, keys=[1])
    with pytest.raises(ValueError, match=r"speculative decoding needs a head that drafts.*; found lm"):
        model.generate(batch, stop=0, speculative=2)
    own = native(head="mtp", depth=2, shared=False)
    with pytest.raises(ValueError, match="head/mtp: 3 drafts were asked for; 1 to 2, a module each,"):
        own.generate(pack(own, PROMPTS[:1]), stop=0, speculative=3)
