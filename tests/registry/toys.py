"""A plug-in of small components, with a slot, a template and a part that repeats over depth."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import nn

from vlmloom.registry import register


class Tower(nn.Module):
    out_width: int


class Bridge(nn.Module): ...


class Block(nn.Module): ...


class Decoder(nn.Module): ...


@register("tower/plain")
class Plain(Tower):
    """A tower."""

    def __init__(
        self,
        *,
        width: int,
        heads: int = 2,
        bias: bool = True,
        mean: tuple[float, float] = (0.0, 0.0),
        norm: Literal["pre", "post"] = "pre",
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} does not divide into {heads} heads; heads: 2 would be right")
        self.out_width, self.heads, self.bias, self.mean, self.norm = width, heads, bias, mean, norm
        self.sizes = sizes
        self.weight = nn.Linear(width, width, bias=bias)


@register("bridge/linear")
class Linear(Bridge):
    """A bridge."""

    def __init__(self, *, in_width: int, out_width: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gain, self.out_width = gain, out_width
        self.map = nn.Linear(in_width, out_width)


@register("block/dense")
class Dense(Block):
    """A block."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden is {hidden}; at least 1 would be right")
        self.up = nn.Linear(width, hidden)


@register("block/wrapped")
class Wrapped(Block):
    """A block around a bridge that is built with it."""

    def __init__(self, *, width: int, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge


@register("decoder/stack")
class Stack(Decoder):
    """Blocks over depth."""

    def __init__(
        self, *, width: int, depth: int, layers: Sequence[Mapping[str, Callable[..., Block]]]
    ) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(layer["ffn"](width=width) for layer in layers)


@register("model/pair")
class Pair(nn.Module):
    """A tower, a bridge and a decoder."""

    def __init__(self, *, tower: Tower, bridge: Callable[..., Bridge], decoder: Decoder) -> None:
        super().__init__()
        self.tower, self.decoder = tower, decoder
        self.bridge = bridge(in_width=tower.out_width)

    def dry_run(self) -> None:
        if self.bridge.out_width != self.decoder.width:
            found, right = self.bridge.out_width, self.decoder.width
            raise ValueError(f"bridge gives width {found}, but the decoder takes width {right}")
