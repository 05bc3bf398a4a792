"""How long a context may be: one message for every language part."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vlmloom.registry.errors import BadInput


def check_reach(reach: int, most: int | None, who: str) -> None:
    """Refuse a context of more positions than there are.

    Args:
        reach: the last position and one.
        most: `max_positions`; None allows any.
        who: the language part.

    Raises:
        BadInput: it is longer.
    """
    if most is not None and reach > most:
        raise BadInput(
            f"{who}: a context of {reach} positions, but max_positions is {most}; shorten it, or raise "
            "max_positions"
        )


def reach_of(positions: Tensor, lengths: Sequence[int], following: Sequence[int] | None) -> int:
    """How far new tokens reach, as far as that is known without asking a GPU.

    Args:
        positions: `[3, T]`.
        lengths: of the samples, or of the new tokens of each sequence.
        following: the next position of each sequence where a cache is read; None where all is new.
    """
    if following is not None:
        return max((start + new for start, new in zip(following, lengths, strict=False) if new), default=0)
    return int(positions.max()) + 1 if positions.device.type == "cpu" and positions.numel() else 0
