"""Attention masks, described and never materialised by whoever asks for them.

A backend receives the description and the segment lengths, and draws what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Bidirectional:
    """Every token of a segment sees every other token of it."""


@dataclass(frozen=True)
class Causal:
    """A token sees itself and what comes before it in its segment."""


@dataclass(frozen=True)
class SlidingWindow:
    """Causal, and no further back than `window` tokens, itself included."""

    window: int


@dataclass(eq=False, frozen=True)
class CausalWithImages:
    """Causal, and free in both directions between tokens that share a picture.

    Attributes:
        picture: `[T]` the number of the picture that a token belongs to, -1 for text.
        everywhere: True lets any visual token of a segment see any other (Molmo 2's `image_tokens`).
    """

    picture: Tensor
    everywhere: bool = False


@dataclass(eq=False, frozen=True)
class MessageTree:
    """Causal within a branch; a branch also sees the trunk (branch 0), and no branch sees another.

    Attributes:
        branch: `[T]`, 0 for the trunk.
    """

    branch: Tensor


@dataclass(frozen=True)
class BlockCausal:
    """Blocks of `block` tokens: free within a block, and back to every earlier one."""

    block: int


Mask = Bidirectional | Causal | SlidingWindow | CausalWithImages | MessageTree | BlockCausal
