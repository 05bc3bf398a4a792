"""What a constructor asks for: its parameters, and what each type hint means for a YAML.

A hint that is a class of ours is a *slot* and takes a built component; `Callable[..., X]` is a *template* and
takes a component that its owner builds; everything else is a *leaf*, or a container of these.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import inspect
import pathlib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, cast, get_args, get_origin

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class ArgumentsOf:
    """Marks a mapping as a callable's keyword arguments: `Annotated[dict[str, Any], ArgumentsOf("a.B")]`.

    Attributes:
        path: dotted path, imported only when a value is checked.
        accepts: `(name, value)` pairs that are taken beside what its types admit.
    """

    path: str
    accepts: tuple[tuple[str, Any], ...] = ()

    def load(self) -> Callable[..., Any]:
        """The callable."""
        module, _, name = self.path.rpartition(".")
        return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Parameter:
    """One argument.

    Attributes:
        name: of the argument.
        hint: its type; Any where none is written.
        default: `REQUIRED` where there is none.
        help: what the docstring says of it.
    """

    name: str
    hint: Any
    default: Any = REQUIRED
    help: str = ""


@dataclass(frozen=True)
class Signature:
    """What a class is built from.

    Attributes:
        parameters: by name.
        open_ended: whether it takes further keywords.
    """

    parameters: dict[str, Parameter]
    open_ended: bool = False


@functools.cache
def signature(target: Callable[..., Any]) -> Signature:
    """The keyword arguments of a class (or function), or the fields of a dataclass or TypedDict."""
    if typing.is_typeddict(target):
        hints = _hints(target)
        required: frozenset[str] = getattr(target, "__required_keys__", frozenset())
        return Signature(
            {
                name: Parameter(name, hint, REQUIRED if name in required else None)
                for name, hint in hints.items()
            }
        )
    is_class = inspect.isclass(target)
    function = target.__init__ if is_class else target  # type: ignore[misc]
    if is_class and _owner(cast(type, target), "__init__").__module__ == "torch.nn.modules.module":
        # It has no constructor of its own; that of any torch module passes keywords on and takes none.
        # The class is asked, since torch.compile puts another function in the constructor's place.
        return Signature({})
    hints = _hints(function)
    if is_class and dataclasses.is_dataclass(target):
        # What a dataclass inherits is written in the terms of another module than that of its `__init__`.
        hints = hints | _hints(target)
    helps = _helps(target)
    parameters, open_ended = {}, False
    try:
        listed = inspect.signature(target)
    except (TypeError, ValueError):
        return Signature({}, open_ended=True)
    for name, parameter in listed.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
        elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            hint = hints.get(name, Any)
            parameters[name] = Parameter(name, hint, parameter.default, helps.get(name, ""))
    return Signature(parameters, open_ended)


def _owner(cls: type, name: str) -> type:
    """The class of which an attribute is inherited."""
    return next(base for base in cls.__mro__ if name in vars(base))


def _hints(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:
        # One annotation that cannot be evaluated (an import for type checkers only) costs no other its check.
        found = {}
        for name, written in getattr(target, "__annotations__", {}).items():
            space = getattr(target, "__globals__", None) or vars(importlib.import_module(target.__module__))
            try:
                found[name] = eval(written, dict(space)) if isinstance(written, str) else written
            except Exception:
                found[name] = Any
        return found


def _helps(target: Any) -> dict[str, str]:
    """The `Args:` (or `Attributes:`) of a Google docstring."""
    docs = [getattr(target, "__doc__", None)]
    if inspect.isclass(target):
        # The fields of a dataclass that derives from another stand in the other's docstring.
        docs = [base.__doc__ for base in reversed(target.__mro__)]
        docs.append(target.__init__.__doc__)  # type: ignore[misc]
    found: dict[str, str] = {}
    for doc in filter(None, docs):
        name, inside, margin = "", False, 0
        for line in inspect.cleandoc(doc).splitlines():
            indent = len(line) - len(line.lstrip())
            if line.strip() in ("Args:", "Attributes:"):
                inside, margin = True, indent + 4
            elif inside and line.strip() and indent < margin:
                inside = False
            elif inside and indent == margin and ":" in line:
                name, _, text = line.strip().partition(":")
                name = name.partition(" ")[0]
                found[name] = text.strip()
            elif inside and indent > margin and name:
                found[name] = f"{found[name]} {line.strip()}"
    return found


def unwrap(hint: Any) -> Any:
    """A hint without `Annotated`."""
    return get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint


def arguments_of(hint: Any) -> ArgumentsOf | None:
    """The marker of a mapping that holds a callable's keyword arguments."""
    extras = getattr(hint, "__metadata__", ())
    return next((extra for extra in extras if isinstance(extra, ArgumentsOf)), None)


def members(hint: Any) -> list[Any]:
    """The members of a union, or the hint alone; `Annotated` is kept."""
    if get_origin(hint) in (Union, types.UnionType):
        return [inner for member in get_args(hint) for inner in members(member)]
    if get_origin(unwrap(hint)) in (Union, types.UnionType) and arguments_of(hint) is None:
        return members(unwrap(hint))
    return [hint]


def admits_none(hint: Any) -> bool:
    """Whether None is a value of a hint."""
    return any(member in (None, type(None), Any, object) for member in members(hint))


def is_structure(hint: Any) -> bool:
    """Whether a mapping's keys are the fields of this dataclass or TypedDict."""
    return inspect.isclass(hint) and (dataclasses.is_dataclass(hint) or typing.is_typeddict(hint))


def is_slot(hint: Any) -> bool:
    """Whether a hint is a class whose instances are components."""
    if not inspect.isclass(hint) or is_structure(hint) or hint is object or get_origin(hint) is not None:
        return False
    if issubclass(hint, (str, int, float, bool, bytes, complex, enum.Enum, pathlib.PurePath, type(None))):
        return False
    return hint not in (list, tuple, dict, set, frozenset) and hint.__module__ not in (
        "builtins", "collections.abc", "typing", "datetime", "os",
    )  # fmt: skip


def template_of(hint: Any) -> type | None:
    """`X` of `Callable[..., X]`."""
    if get_origin(hint) is not Callable:
        return None
    returned = get_args(hint)[-1] if get_args(hint) else None
    return returned if is_slot(returned) else None


def container(hint: Any) -> tuple[str, Any] | None:
    """`("list", item)`, `("dict", value)` or `("tuple", (items...))` of a container's hint."""
    origin = get_origin(hint) or hint
    arguments = get_args(hint)
    if not inspect.isclass(origin) or is_structure(origin):
        return None
    if origin is tuple:
        if not arguments or arguments[-1] is Ellipsis:
            return "sequence", arguments[0] if arguments else Any
        return "tuple", arguments
    if issubclass(origin, (str, bytes)):
        return None
    if issubclass(origin, Mapping):
        return "dict", arguments[1] if len(arguments) == 2 else Any
    if issubclass(origin, (Sequence, set, frozenset)) or origin is typing.get_origin(typing.Iterable[int]):
        return "list", arguments[0] if arguments else Any
    return None


def describe_hint(hint: Any) -> str:
    """A type as a person would say it.

    >>> describe_hint(int | None), describe_hint(Literal["a", "b"]), describe_hint(tuple[int, int])
    ('int or null', "'a' or 'b'", 'list of 2')
    """
    hint = unwrap(hint)
    if hint in (None, type(None)):
        return "null"
    if get_origin(hint) is Literal:
        return " or ".join(repr(value) for value in get_args(hint))
    found = members(hint)
    if len(found) > 1:
        return " or ".join(dict.fromkeys(describe_hint(member) for member in found))
    wanted = template_of(hint)
    if wanted is not None:
        return f"component of class {wanted.__name__}"
    held = container(hint)
    if held is not None:
        if held[0] == "tuple":
            return f"list of {len(held[1])}"
        inner = held[1]
        name = "mapping to" if held[0] == "dict" else "list of"
        return f"{name} {describe_hint(inner)}" if inner is not Any else name.split()[0]
    if is_structure(hint):
        return f"mapping with the keys of {hint.__name__}"
    if is_slot(hint):
        return f"component of class {hint.__name__}"
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return " or ".join(repr(member.name) for member in hint)
    return getattr(hint, "__name__", str(hint).replace("typing.", ""))


def slots(hint: Any) -> Iterator[tuple[type, bool]]:
    """The component classes that a hint takes, each with whether it is a template."""
    for member in members(hint):
        wanted = template_of(member)
        if wanted is not None:
            yield wanted, True
        elif is_slot(member):
            yield member, False
