"""Packing by knapsack, in the main process, over lengths that are known without drawing a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import Sampler

from vlmloom.registry.errors import UserError

AHEAD = 1000
"""How many items are looked at to tell what size of a pack would do."""


class Size(NamedTuple):
    """What an item weighs before it is drawn.

    Attributes:
        tokens: its length in a pack; 0 leaves the item out.
        weight: the sum of its loss weights.
    """

    tokens: int
    weight: float = 0.0


class Draw(NamedTuple):
    """One item of a pack, as the dataset is asked for it.

    Attributes:
        item: its index.
        normaliser: what the loss of this pack is divided by (see `PackSampler`).
        weight: what the item itself has in that; it is taken out where its picture turns out corrupt.
    """

    item: int
    normaliser: float
    weight: float = 0.0


def knapsack(lengths: list[int], capacity: int) -> list[int]:
    """Which items fill a pack best: indices into `lengths`, in order, the first always among them.

    Subset sums are held as the bits of one integer an item, so that the search over all sums costs a shift
    and an or an item. Among equally full packs the earlier items win, so that none waits for long.

    >>> knapsack([5, 4, 3, 3], 11)
    [0, 2, 3]

    Raises:
        ValueError: the first item alone is longer than the capacity.
    """
    if lengths[0] > capacity:
        raise ValueError(f"an item of {lengths[0]} tokens is longer than a pack of {capacity}")
    within = (1 << (capacity + 1)) - 1
    reachable = [1 << lengths[0]]
    for length in lengths[1:]:
        reachable.append((reachable[-1] | (reachable[-1] << length)) & within)
    total = reachable[-1].bit_length() - 1
    chosen = []
    for item in range(len(lengths) - 1, 0, -1):
        if not reachable[item - 1] >> total & 1:
            chosen.append(item)
            total -= lengths[item]
    return [0, *reversed(chosen)]


class PackSampler(Sampler[list[Draw]]):
    """A batch sampler that packs an endless stream of items into packs of at most `capacity` tokens.

    Items come in the order of their index. A window of waiting items, worth twice the capacity, is searched
    for the fullest pack; the oldest item always goes along. An epoch is a fixed number of packs, so its
    length is known, and the sampler's state (next index, waiting items, packs given) resumes it exactly.

    All packs of one optimizer step (`world` ranks times `accumulate` micro-batches) are planned together by
    every rank, so each knows the weight of the whole step without communication. A pack's normaliser is that
    weight divided by the number of packs: Lightning's division by `accumulate` and the mean over ranks then
    give sum(w * loss) / sum(w) over the whole step. That an item's picture cannot be decoded is found out
    later, and its weight is then taken out (see `Loom.weigh`).
    """

    def __init__(
        self,
        size_of: Callable[[int], Size],
        *,
        capacity: int,
        packs: int,
        first: int = 0,
        window: float = 2.0,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
    ) -> None:
        """Start a stream.

        Args:
            size_of: tokens and weight of item i.
            capacity: tokens of a pack.
            packs: of an epoch, for each rank.
            first: the index of the first item.
            window: how many packs' worth of items wait.
            rank: whose packs these are.
            world: the number of ranks.
            accumulate: micro-batches of an optimizer step.
        """
        self.size_of, self.capacity, self.packs, self.window = size_of, capacity, packs, window
        self.rank, self.world, self.accumulate = rank, world, accumulate
        self._next = first
        self._waiting: list[tuple[int, Size]] = []
        self._given = 0
        self._step: list[list[Draw]] = []

    def __len__(self) -> int:
        return self.packs

    def __iter__(self) -> Iterator[list[Draw]]:
        while self._given < self.packs:
            if not self._step:
                self._step = self._plan()
            self._given += 1
            yield self._step.pop(0)
        self._given = 0

    def _plan(self) -> list[list[Draw]]:
        """The packs of this rank for the next optimizer step."""
        step = [self._pack() for _ in range(self.world * self.accumulate)]
        weight = sum(size.weight for pack in step for _, size in pack)
        normaliser = max(weight, 1.0) / len(step)
        own = step[self.rank :: self.world]
        return [[Draw(index, normaliser, size.weight) for index, size in pack] for pack in own]

    def _pack(self) -> list[tuple[int, Size]]:
        waiting = self._waiting
        held = sum(size.tokens for _, size in waiting)
        skipped = 0
        while held < self.window * self.capacity:
            size = self.size_of(self._next)
            if size.tokens > self.capacity:
                longest = max(self.size_of(self._next + more).tokens for more in range(AHEAD))
                raise UserError(
                    f"pack_tokens is {self.capacity}, but item {self._next} has {size.tokens} tokens and the "
                    f"longest of the {AHEAD} from there on {longest}; {longest} or more would be right"
                )
            skipped = 0 if size.tokens else skipped + 1
            if skipped > 10_000:
                raise UserError(
                    "10,000 items in a row have nothing to train on in this view of the data; another view, "
                    "or tasks with pictures, would be right"
                )
            if size.tokens:
                waiting.append((self._next, size))
                held += size.tokens
            self._next += 1
        chosen = knapsack([size.tokens for _, size in waiting], self.capacity)
        taken = set(chosen)
        self._waiting = [item for position, item in enumerate(waiting) if position not in taken]
        return [waiting[position] for position in chosen]

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands; plain numbers, so that a checkpoint loads with `weights_only=True`."""
        return {
            "next": self._next,
            "waiting": [[index, *size] for index, size in self._waiting],
            "given": self._given,
            "step": [[list(draw) for draw in pack] for pack in self._step],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self._next, self._given = state["next"], state["given"]
        self._waiting = [(index, Size(tokens, weight)) for index, tokens, weight in state["waiting"]]
        self._step = [[Draw(*draw) for draw in pack] for pack in state["step"]]
