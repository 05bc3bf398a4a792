import itertools

import numpy as np
import pytest

from vlmloom.pipelines.data.packing import PackSampler, Size, knapsack
from vlmloom.registry.errors import UserError


def test_knapsack_is_as_full_as_exhaustive_search():
    rng = np.random.default_rng(0)
    for _ in range(100):
        lengths = rng.integers(1, 20, size=9).tolist()
        capacity = int(rng.integers(20, 60))
        best = max(
            total
            for size in range(9)
            for rest in itertools.combinations(lengths[1:], size)
            if (total := lengths[0] + sum(rest)) <= capacity
        )
        chosen = knapsack(lengths, capacity)
        assert sum(lengths[item] for item in chosen) == best
        assert chosen == sorted(set(chosen)) and chosen[0] == 0


def size_of(index: int) -> Size:
    if index % 7 == 0:
        return Size(0)
    rng = np.random.default_rng(index)
    return Size(int(rng.integers(8, 70)), float(rng.integers(1, 6)))


def indices(packs):
    return [[draw.item for draw in pack] for pack in packs]


def test_stream_gives_every_item_once_and_nearly_full_packs():
    sampler = PackSampler(size_of, capacity=512, packs=60)
    packs = indices(sampler)
    assert len(packs) == len(sampler) == 60
    fills = [sum(size_of(index).tokens for index in pack) / 512 for pack in packs]
    assert max(fills) <= 1.0 and np.mean(fills) > 0.99
    seen = [index for pack in packs for index in pack]
    assert len(seen) == len(set(seen)) and all(index % 7 for index in seen)
    # Nothing starves: what was given is, but for the window, the head of the stream.
    missing = {index for index in range(max(seen)) if index % 7} - set(seen)
    assert sum(size_of(index).tokens for index in missing) <= 2 * 512 + 70


@pytest.mark.parametrize("consumed", [0, 1, 17, 59, 60])
def test_resumes_exactly(consumed):
    settings = {"capacity": 300, "packs": 60, "world": 2, "rank": 1, "accumulate": 3}
    whole = PackSampler(size_of, **settings)
    expected = list(whole) + list(whole)
    first = PackSampler(size_of, **settings)
    head = list(itertools.islice(iter(first), consumed))
    second = PackSampler(size_of, **settings)
    second.load_state_dict(first.state_dict())
    rest = list(second) + list(second)
    assert (head + rest)[:120] == expected


def test_ranks_share_the_stream_and_its_normaliser():
    ranks = [PackSampler(size_of, capacity=200, packs=8, rank=rank, world=2, accumulate=2) for rank in (0, 1)]
    left, right = (list(sampler) for sampler in ranks)
    alone = list(PackSampler(size_of, capacity=200, packs=16))
    assert [pack for pair in zip(indices(left), indices(right), strict=True) for pack in pair] == indices(
        alone
    )
    for start in range(0, 8, 2):
        step = left[start : start + 2] + right[start : start + 2]
        weight = sum(size_of(draw.item).weight for pack in step for draw in pack)
        assert {draw.normaliser for pack in step for draw in pack} == {weight / 4}


def test_item_longer_than_a_pack_says_what_to_raise():
    with pytest.raises(UserError) as told:
        list(PackSampler(size_of, capacity=4, packs=1))
    longest = max(size_of(index).tokens for index in range(1, 1001))
    assert longest > size_of(1).tokens
    assert str(told.value) == (
        f"pack_tokens is 4, but item 1 has {size_of(1).tokens} tokens and the longest of the 1000 from there "
        f"on {longest}; {longest} or more would be right"
    )
    assert list(PackSampler(size_of, capacity=longest, packs=50))


def test_a_stream_without_anything_to_train_on_ends():
    with pytest.raises(UserError, match="nothing to train on"):
        list(PackSampler(lambda index: Size(0), capacity=4, packs=1))


def test_another_first_item_is_another_stretch_of_the_stream():
    def items(first: int) -> list[int]:
        sampler = PackSampler(size_of, capacity=100, packs=5, first=first)
        return sorted(draw.item for pack in sampler for draw in pack)

    assert min(items(1 << 32)) >= 1 << 32 and not set(items(0)) & set(items(1 << 32))
