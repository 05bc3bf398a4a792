"""Parameters whose first values are drawn when they are needed: `deferred`, `materialise`.

A model that is trained in shards need not be whole in any process. What `deferred` builds has parameters on
the meta device, and each knows how it was filled: what was called on it in place, and the state of the
generator before. A part is given these values just before it is cut. They are those of a build with memory,
bit for bit: each filling is also done at once, on a tensor that is dropped, and so generators advance alike.

Reference: deferred initialisation, https://github.com/pytorch/torchdistx.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode, handle_torch_function
from torch.utils import swap_tensors
from torch.utils._pytree import tree_map_only

M = TypeVar("M", bound=nn.Module)

FIRST = "first_values"
"""The attribute of a parameter on the meta device that gives its values."""

IN_PLACE = re.compile(r"[a-z]\w*[a-z0-9]_|__setitem__|__i(add|sub|mul|truediv)__")
UNCHANGED = ("requires_grad_", "share_memory_", "detach_", "retain_grad_")
INITS = {name: one for name, one in vars(nn.init).items() if name[0] != "_" and IN_PLACE.fullmatch(name)}
WHOLLY = {*INITS, "zero_", "fill_", "copy_"}
"""Leave nothing of what was there before."""
COPIES = (Tensor.to, Tensor.clone, Tensor.contiguous, Tensor.float, Tensor.bfloat16)


@dataclass(frozen=True)
class Filling:
    """A call in place on a view of a storage."""

    function: Callable[..., Any]
    view: tuple[Any, Any, Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    generator: Generator
    state: Tensor

    def do(self, storage: Tensor) -> None:
        """Call it, as the generator stands."""
        arguments, keywords = tree_map_only(Later, lambda one: one(), (self.arguments, self.keywords))
        self.function(storage.as_strided(*self.view), *arguments, **keywords)


@dataclass(frozen=True)
class Later:
    """A tensor without memory, and the fillings that make its values."""

    tensor: Tensor
    fillings: tuple[Filling, ...] = ()

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Its values, made anew; generators stay as they are."""
        storage = self.empty()
        for filling in self.fillings:
            now = filling.generator.get_state()
            filling.generator.set_state(filling.state)
            filling.do(storage)
            filling.generator.set_state(now)
        return storage.as_strided(*_view(self.tensor))

    def empty(self) -> Tensor:
        """As much memory as its storage would have."""
        count = self.tensor.untyped_storage().nbytes() // self.tensor.element_size()
        return torch.empty(count, dtype=self.tensor.dtype)


class _Recording(TorchFunctionMode):
    """Gives `torch.empty` no memory, and notes what is filled into what it made, by storage."""

    def __init__(self) -> None:
        super().__init__()
        # An entry holds a tensor of its storage, so that no other storage comes to have the same number.
        self.known: dict[int, Later] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = dict(kwargs or {})
        # What is on the meta device without us, as transformers reads a folder, has values from elsewhere.
        if func is torch.empty and torch.device(keywords.get("device") or "cpu").type != "meta":
            made = func(*args, **keywords | {"device": "meta"})
            self.known[_storage(made)] = Later(made.detach())
            return made
        target = args[0] if args else keywords.get("tensor")
        if not isinstance(target, Tensor) or not target.is_meta or _storage(target) not in self.known:
            return func(*args, **keywords)
        if getattr(func, "__self__", None) is Tensor.is_meta:
            # What would leave such a tensor as it is, since it has no memory, has to fail and be noticed.
            return False
        name = getattr(func, "__name__", "")
        if IN_PLACE.fullmatch(name) and name not in UNCHANGED:
            keywords.pop("tensor", None)
            self._fill(func, name, target, args[1:], keywords)
            return target
        found = func(*args, **keywords)
        if func in COPIES and _storage(found) not in self.known:
            self.known[_storage(found)] = Later(found.detach())
            self._fill(Tensor.copy_, "copy_", found, (target,), {})
        return found

    def _fill(self, func: Any, name: str, target: Tensor, args: tuple[Any, ...], keywords: Any) -> None:
        """Note a filling, and do it on a tensor that is dropped."""
        later = self.known[_storage(target)]
        arguments, keywords = tree_map_only(Tensor, self.later, (args, keywords))
        generator = keywords.get("generator") or torch.default_generator
        filling = Filling(func, _view(target), arguments, keywords, generator, generator.get_state())
        whole = target.numel() * target.element_size() == target.untyped_storage().nbytes()
        before = () if whole and name in WHOLLY else later.fillings
        with torch.no_grad():
            filling.do(later.empty())
        self.known[_storage(target)] = replace(later, fillings=(*before, filling))

    def later(self, tensor: Tensor) -> Any:
        """A tensor that has memory as it is; one that has none with its fillings."""
        known = self.known.get(_storage(tensor)) if tensor.is_meta else None
        return tensor if known is None else Later(tensor.detach(), known.fillings)


@contextmanager
def _inits_noted() -> Iterator[None]:
    """Let modes see every function of torch.nn.init, of which only some are made for it."""

    def through(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @wraps(function)
        def noted(tensor: Tensor, *args: Any, **keywords: Any) -> Any:
            return handle_torch_function(function, (tensor,), tensor, *args, **keywords)

        return noted

    for name, function in INITS.items():
        setattr(nn.init, name, through(function))
    try:
        yield
    finally:
        for name, function in INITS.items():
            setattr(nn.init, name, function)


def deferred(build: Callable[[], M]) -> M:
    """What `build` makes, its parameters without memory; or whole, where its values cannot be made later.

    So it is where a constructor asks for values, or computes some from others.
    """
    state = torch.get_rng_state()
    try:
        with _Recording() as recording, _inits_noted():
            module = build()
        _hand_out(module, recording)
    except Exception:  # A constructor without the values that it asks for raises whatever it likes.
        torch.set_rng_state(state)
        return build()
    return module


def _hand_out(module: nn.Module, recording: _Recording) -> None:
    """Let each parameter know its first values; buffers get theirs at once."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not tensor.is_meta:
            continue
        later = recording.later(tensor)
        if not isinstance(later, Later) or not later.fillings:
            raise RuntimeError(f"{name} is computed from others")
        if isinstance(tensor, nn.Parameter):
            setattr(tensor, FIRST, later)
        else:
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, later())


def values(tensor: Tensor) -> Tensor:
    """The values of a tensor, also where it has no memory."""
    return vars(tensor)[FIRST]().to(tensor.dtype) if tensor.is_meta else tensor.detach()


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module, with the values of what has no memory."""
    return {name: values(tensor) for name, tensor in module.state_dict(keep_vars=True).items()}


def give(tensor: Tensor, read: Callable[[], Tensor]) -> None:
    """Give a tensor other values; one without memory reads them when it is materialised."""
    if tensor.is_meta:
        setattr(tensor, FIRST, read)
    else:
        with torch.no_grad():
            tensor.copy_(read())


def take(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`load_state_dict`, also of a module without memory.

    Raises:
        RuntimeError: names or shapes differ.
    """
    with warnings.catch_warnings(action="ignore"):  # It says that nothing is copied to the meta device.
        module.load_state_dict(state)
    for name, tensor in module.state_dict(keep_vars=True).items():
        if tensor.is_meta:
            give(tensor, partial(state.__getitem__, name))


def materialise(module: nn.Module) -> None:
    """Give values to all parameters of a module that have no memory; each stays the object that it is."""
    for parameter in module.parameters():
        if parameter.is_meta:
            made = values(parameter)
            real = nn.Parameter(
                made.contiguous() if parameter.is_contiguous() else made, parameter.requires_grad
            )
            vars(real).update({name: one for name, one in vars(parameter).items() if name != FIRST})
            swap_tensors(parameter, real)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _view(tensor: Tensor) -> tuple[Any, Any, Any]:
    return tensor.size(), tensor.stride(), tensor.storage_offset()
