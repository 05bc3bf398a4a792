"""Tensors of a released checkpoint and ours: declared as rows, applied in both directions by one engine.

A row says which tensors of theirs lie, one behind another, in one of ours. So a conversion moves ranges of
bytes, and no fused tensor has to be in memory whole:

    Row("qkv.weight", ("self_attn.{q,k,v}_proj.weight",), shares=("query", "key", "key"))
        ours [q | k | v] along the first axis
    Row("ffn.experts.gate_up", ("mlp.experts.{expert}.{gate,up}_proj.weight",))
        ours [expert 0: gate | up], [expert 1: gate | up], ...
    Row("proj.weight", ("proj.weight",), order="out channel row column -> out (row column channel)")
        a kernel of a convolution, whose axes are put in another order
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One tensor of ours and those of theirs that it is made of.

    Attributes:
        ours: its name, with `{layer}` or `{step}` where it repeats.
        theirs: the names, in order; `{a,b}` stands for one name each, `{expert}` for one an expert. None of
            them: the tensor is ours alone, zero when imported and left out when exported.
        shares: names of sizes (see `Sizes`), one for each of theirs along the first axis; () is equal shares.
        order: an einops pattern from one of theirs to ours, where the axes are in another order.
        fused: the name under which theirs are sometimes stored as one tensor, laid out like ours.
    """

    ours: str
    theirs: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    order: str = ""
    fused: str = ""

    def under(self, ours: str, theirs: str) -> Row:
        """The same row with prefixes."""
        return replace(
            self,
            ours=ours + self.ours,
            theirs=tuple(theirs + name for name in self.theirs),
            fused=theirs + self.fused if self.fused else "",
        )


Sizes = Mapping[str, int]
"""What shares and axes of patterns are called, and how long they are: `query`, `key`, `frame`, ..."""


@dataclass(frozen=True)
class Piece:
    """One tensor of theirs within one of ours.

    Attributes:
        name: theirs.
        shape: as theirs.
        start: where it begins in ours, in elements of the flattened tensor.
    """

    name: str
    shape: Shape
    start: int

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + math.prod(self.shape)


@dataclass(frozen=True)
class Link:
    """One tensor of ours and its pieces, with all numbers filled in.

    Attributes:
        ours: its name.
        shape: as ours.
        pieces: theirs, in order; none where the tensor is ours alone.
        order: see `Row`.
        sizes: of the axes that `order` names.
        fused: the one tensor that the pieces may be stored as, of our shape.
    """

    ours: str
    shape: Shape
    pieces: tuple[Piece, ...]
    order: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    fused: Piece | None = None

    def to_ours(self, theirs: Tensor) -> Tensor:
        """A tensor of theirs in our order of axes."""
        return rearrange(theirs, self.order, **dict(self.sizes)).contiguous() if self.order else theirs

    def to_theirs(self, ours: Tensor) -> Tensor:
        """A tensor of ours in their order of axes."""
        return rearrange(ours, _reversed(self.order), **dict(self.sizes)).contiguous() if self.order else ours


def spread(rows: Iterable[Row], layers: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of one layer for many, each with the prefixes (ours, theirs) of a layer."""
    prefixes = list(layers)
    return [row.under(ours, theirs) for ours, theirs in prefixes for row in rows]


def link(rows: Sequence[Row], shapes: Mapping[str, Shape], sizes: Sizes) -> list[Link]:
    """The links of a model; rows of parts that it does not have are left out.

    Args:
        rows: of the family.
        shapes: of the model's state, by name.
        sizes: what rows speak of.

    Raises:
        LookupError: no row speaks of a tensor of the model, or two do.
    """
    by_name: dict[str, Row] = {}
    for row in rows:
        if row.ours in by_name:
            raise LookupError(f"two rows make {row.ours}")
        by_name[row.ours] = row
    if lost := [name for name in shapes if name not in by_name]:
        raise LookupError(f"no row speaks of {', '.join(lost)}")
    return [_link(by_name[name], shape, sizes) for name, shape in shapes.items()]


def _link(row: Row, shape: Shape, sizes: Sizes) -> Link:
    if not row.theirs:
        return Link(row.ours, shape, ())
    if row.order:
        named = set(re.findall(r"[a-z_]+", row.order))
        axes = {name: size for name, size in sizes.items() if name in named}
        theirs = rearrange(torch.empty(shape, device="meta"), _reversed(row.order), **axes).shape
        return Link(
            row.ours, shape, (Piece(row.theirs[0], tuple(theirs), 0),), row.order, tuple(axes.items())
        )
    experts = any("{expert}" in name for name in row.theirs)
    count, (whole, *rest) = (shape[0], shape[1:]) if experts else (1, shape)
    patterns = [name for pattern in row.theirs for name in _alternatives(pattern)]
    lengths = [sizes[share] for share in row.shares] or [whole // len(patterns)] * len(patterns)
    assert sum(lengths) == whole and len(lengths) == len(patterns), f"{row.ours}: {lengths} of {whole}"
    pieces, start = [], 0
    for expert in range(count):
        for pattern, length in zip(patterns, lengths, strict=True):
            piece = Piece(pattern.replace("{expert}", str(expert)), (length, *rest), start)
            pieces.append(piece)
            start = piece.stop
    fused = Piece(row.fused, shape, 0) if row.fused else None
    return Link(row.ours, shape, tuple(pieces), fused=fused)


def _alternatives(pattern: str) -> Iterator[str]:
    """`a.{b,c}.d` is a.b.d and a.c.d; `{expert}` stays."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if found is None:
        yield pattern
        return
    for choice in found[1].split(","):
        yield from _alternatives(pattern[: found.start()] + choice + pattern[found.end() :])


def _reversed(order: str) -> str:
    theirs, ours = order.split("->")
    return f"{ours} -> {theirs}"


def split(links: Iterable[Link], ours: Mapping[str, Tensor], fused: bool = False) -> dict[str, Tensor]:
    """Our tensors as theirs, in memory: weights, or gradients to compare.

    Args:
        links: of the model.
        ours: tensors by our names; links of others are left out.
        fused: prefer the fused names, as transformers' modules have them.
    """
    found: dict[str, Tensor] = {}
    for one in links:
        if one.ours not in ours:
            continue
        if fused and one.fused is not None:
            found[one.fused.name] = ours[one.ours]
            continue
        flat = one.to_theirs(ours[one.ours]).reshape(-1)
        for piece in one.pieces:
            found[piece.name] = flat[piece.start : piece.stop].view(piece.shape)
    return found
