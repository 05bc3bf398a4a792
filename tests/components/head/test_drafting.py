"""What a drafter keeps of earlier rounds gives the drafts of a head that reads everything anew."""

import numpy as np
import pytest
import torch
from tiny import DENSE, SPARSE, VOCAB, native, pack, prompt

HEADS = {
    "shared, further than trained": {"shared": True, "depth": 1},
    "own modules": {"head": "mtp", "depth": 3},
    "own tables": {"head": "mtp", "depth": 3, "own_tables": True},
    "own tables of a shared module": {"head": "mtp", "shared": True, "depth": 1, "own_tables": True},
    "visual embedding": {"visual_input": "visual_embedding"},
    "masked": {"visual_input": "masked"},
    "masked, own modules": {"visual_input": "masked", "depth": 3, "shared": False},
    "shared set": {"visual_input": "shared_set", "set_tokens": 4},
    "selective": {"dsa": True, "layers": [DENSE]},
}
DEPTH = 3


def anew(model, head, parts, read, following, guesses):
    """Logits of every depth from a packed pass over all that is known, the drafts after it."""
    batch = pack(model, [[*parts, [*read, following, *guesses]]])
    known = batch.lengths[0] - 1 - len(guesses)
    hidden, _ = model.hidden(batch)
    # The head sees hidden states of what was read alone; the places behind have none.
    state = hidden.clone()
    state[known:] = 0
    visual, _ = head.visual_tokens(batch)
    logits = []
    for depth in range(DEPTH):
        state, _ = head.advance(state, batch, depth, visual)
        logits.append(head.logits(state[known - 1], depth))
    return torch.stack(logits)


@pytest.mark.parametrize("kind", HEADS)
@torch.no_grad()
def test_rounds_of_unequal_acceptance(kind):
    model = native(**{"layers": (DENSE, SPARSE), **HEADS[kind]})
    head = next(part for part in model.heads().values() if part.drafts)
    # One prompt ends on a picture, so that places which are read again lie within it.
    prompts = [prompt(5, seed=1), prompt(2, (2, 3), seed=2), prompt(1, (1, 2), 1, (1, 1), 2, seed=3)]
    cache = model.language.cache(3, 60)
    drafter = head.drafter(batch=3, capacity=60, depth=DEPTH)
    batch = pack(model, prompts)
    hidden, _ = model.hidden(batch, cache)
    drafter.read(hidden, batch)
    dice = np.random.default_rng(0)
    read, rows = [[], [], []], [0, 1, 2]
    for turn in range(4):
        following = dice.integers(0, VOCAB - 1, len(rows)).tolist()
        got, guesses = [], dice.integers(0, VOCAB - 1, (len(rows), DEPTH))

        def pick(logits, number, got=got, guesses=guesses):
            got.append(logits)
            return torch.from_numpy(guesses[:, number])

        drafter.draft(torch.tensor(following), pick)
        for place, row in enumerate(rows):
            own = guesses[place].tolist()
            wanted = anew(model, head, prompts[row], read[row], following[place], own)
            mine = torch.stack([logits[place] for logits in got])
            torch.testing.assert_close(mine, wanted, atol=1e-4, rtol=1e-4)
        # The trunk reads what was drafted, a little less in one row; some of it stands.
        counts = [DEPTH] * (len(rows) - 1) + [DEPTH - 1]
        stand = [int(dice.integers(0, count + 1)) for count in counts]
        lengths = [1 + count for count in counts]
        taken = np.concatenate([np.array(following)[:, None], guesses], axis=1)
        flat = torch.from_numpy(taken[np.arange(1 + DEPTH) < np.array(lengths)[:, None]])
        positions = cache.positions(lengths)
        hidden, _ = model.language(model.language.embed(flat), None, lengths, cache=cache)
        drafter.read_on(hidden, flat, positions, lengths)
        left = [held - count + own for held, count, own in zip(cache.lengths, counts, stand, strict=True)]
        cache.roll_back(left)
        drafter.roll_back(left)
        assert drafter.lengths == cache.lengths and drafter.following == cache.following
        for place, row in enumerate(rows):
            read[row] += taken[place, : 1 + stand[place]].tolist()
        if turn == 1:
            rows = [2, 0]
            cache.keep(rows)
            drafter.keep(rows)
        if turn == 2:
            cache.reserve(80)
            drafter.reserve(80)
