"""What the input of a multi-token head costs where pipeline parallelism puts it far from the vision part."""

from __future__ import annotations

from typing import NamedTuple


class Crossing(NamedTuple):
    """Bytes over one boundary between pipeline stages, for one sequence.

    Attributes:
        forward: on the way to the head.
        backward: gradients on the way back.
    """

    forward: int
    backward: int


def boundary_bytes(
    visual_input: str,
    *,
    width: int,
    slots: int,
    set_tokens: int = 1,
    assign: str = "position",
    number: int = 2,
) -> Crossing:
    """Bytes that cross each boundary between the first stage and the head's, because of the head's input.

    The first stage holds vision, projector and embedding, the last one the head with its copy of the
    embedding. Ids, labels and positions come to every stage from the loader, and hidden states cross in any
    case: neither is counted. What is left is what stands at visual slots:

    - `shared_token`, `masked` and a shared set by position need nothing: the ids say which slots are visual;
    - `visual_embedding` needs the projected visual tokens, and returns their gradients;
    - a shared set by router needs the number of each slot's token, and returns the gradient of its m shares.

    >>> boundary_bytes("visual_embedding", width=6144, slots=1)
    Crossing(forward=12288, backward=12288)
    >>> boundary_bytes("shared_set", width=6144, slots=1, set_tokens=16, assign="router")
    Crossing(forward=1, backward=32)

    Args:
        visual_input: as in `head/mmtp`.
        width: of the language part.
        slots: visual slots of the sequence.
        set_tokens: m, of a shared set.
        assign: of a shared set.
        number: bytes of a real number; 2 in bf16.

    Raises:
        ValueError: there is no such visual input.
    """
    if visual_input == "visual_embedding":
        return Crossing(slots * width * number, slots * width * number)
    if visual_input == "shared_set" and assign == "router":
        index = -(-(set_tokens - 1).bit_length() // 8)
        return Crossing(slots * index, slots * set_tokens * number)
    if visual_input in ("shared_token", "masked", "shared_set"):
        return Crossing(0, 0)
    raise ValueError(
        f"visual_input is {visual_input!r}; one of shared_token, visual_embedding, masked, shared_set"
    )
