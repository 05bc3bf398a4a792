"""A checked configuration, ready to be built: what becomes which object."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Union, cast

from vlmloom.registry.errors import ConfigError, Mark, Problem, Refusals, one_line
from vlmloom.registry.hints import signature

Plan = Union["Leaf", "Items", "Fields", "Part", "Broken"]


@dataclass
class Leaf:
    """A value as it is."""

    value: Any


@dataclass
class Items:
    """A list or tuple."""

    items: list[Plan]
    make: Callable[[list[Any]], Any] = list


@dataclass
class Fields:
    """A mapping, or with `make` a dataclass, which may refuse its values as a component does.

    Attributes:
        values: by key.
        make: what is called with them.
        mark: where the mapping stands.
        path: dotted, from the top.
        marks: where each value is written.
    """

    values: dict[str, Plan]
    make: Callable[..., Any] = dict
    mark: Mark = field(default_factory=lambda: Mark(""))
    path: str = ""
    marks: dict[str, Mark] = field(default_factory=dict)


@dataclass
class Part:
    """A component.

    Attributes:
        cls: its class.
        arguments: by name.
        mark: where it is named.
        path: dotted, from the top.
        template: whether its owner builds it.
        name: what it is called in the configuration.
        marks: where each argument is written.
    """

    cls: type
    arguments: dict[str, Plan]
    mark: Mark
    path: str
    template: bool = False
    name: str = ""
    supplied: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)


@dataclass
class Broken:
    """What cannot be built, since something is wrong with it; its children may be sound."""

    children: list[Plan]


class BuildError(ConfigError):
    """A constructor refused its values; says where the component is named."""

    def __init__(self, mark: Mark, path: str, who: str, error: BaseException) -> None:
        said = one_line(error)
        if not isinstance(error, ValueError):
            said = f"{type(error).__name__}: {said}"
        said = said if said.startswith(who) else f"{who}: {said}" if who else said
        super().__init__([Problem(mark, path, said)])


class Template(functools.partial):
    """A component that its owner builds by calling it with what only the owner knows.

    A `functools.partial` of the class whose child components are built anew at each call, so that the layers
    of a model share no weights.
    """

    part: Part

    def __call__(self, /, *args: Any, **keywords: Any) -> Any:
        """Build it; `keywords` are what the owner supplies."""
        for key, value in keywords.items():
            written = self.part.arguments.get(key)
            if isinstance(written, Leaf) and isinstance(value, int | float | str) and written.value != value:
                text = f"{key} is {written.value!r} here, but {value!r} where it is used; leave it out"
                mark = self.part.marks.get(key, self.part.mark)
                raise BuildError(mark, f"{self.part.path}.{key}", self.part.name, ValueError(text))
        return construct_part(self.part, keywords)


def values(plan: Plan) -> Any:
    """What a checked configuration comes to, as plain values: every argument, defaults too.

    Arguments that an owner supplies are left out, unless they are written.
    """
    if isinstance(plan, Leaf):
        return plan.value
    assert not isinstance(plan, Broken), "a plan with problems has no values"
    if isinstance(plan, Items):
        return plan.make([values(item) for item in plan.items])
    if isinstance(plan, Fields):
        return {key: values(value) for key, value in plan.values.items()}
    return {"use": plan.name} | defaults(plan.cls) | {key: values(one) for key, one in plan.arguments.items()}


def defaults(cls: type) -> dict[str, Any]:
    """The arguments of a constructor that may be left out, with the values that they then have."""
    parameters = inspect.signature(cls).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not inspect.Parameter.empty}


def construct(plan: Plan) -> Any:
    """Build what a plan says, children first.

    Raises:
        BuildError: a constructor refused its values.
    """
    if isinstance(plan, Leaf):
        return plan.value
    assert not isinstance(plan, Broken), "a plan with problems is not built"
    if isinstance(plan, Items):
        return plan.make([construct(item) for item in plan.items])
    if isinstance(plan, Fields):
        return construct_fields(plan, {key: construct(value) for key, value in plan.values.items()})
    if plan.template:
        leaves = {key: value.value for key, value in plan.arguments.items() if isinstance(value, Leaf)}
        template = Template(plan.cls, **leaves)
        template.part = plan
        return template
    return construct_part(plan, plan.supplied)


def construct_fields(plan: Fields, values: dict[str, Any]) -> Any:
    """Build a mapping, or the dataclass that it stands for, of values that are built already.

    Raises:
        ConfigError: the dataclass refuses its values; each refusal has the place of the key it speaks of.
    """
    if plan.make is dict:
        return values
    try:
        return plan.make(**values)
    except Refusals as refusals:
        raise ConfigError(_placed(plan, text) for text in refusals.texts) from refusals
    except ValueError as error:
        raise ConfigError([_placed(plan, one_line(error))]) from error
    except TypeError as error:
        raise BuildError(plan.mark, plan.path, "", error) from error


def _placed(plan: Fields, text: str) -> Problem:
    """A refusal at the place of the key that it begins with, as far as that is written down."""
    key, colon, rest = text.partition(": ")
    keys = key.split(".") if colon else []
    if not keys or keys[0] not in signature(plan.make).parameters:
        return Problem(plan.mark, plan.path, text)
    mark, at = plan.mark, cast(Plan, plan)
    for name in keys:
        held = at.values if isinstance(at, Fields) else at.arguments if isinstance(at, Part) else {}
        if isinstance(at, Fields | Part) and name in held:
            mark, at = at.marks.get(name, mark), held[name]
        elif isinstance(at, Items) and name.isdigit() and int(name) < len(at.items):
            at = at.items[int(name)]
            mark = at.mark if isinstance(at, Fields | Part) else mark
        else:
            break
    return Problem(mark, ".".join(filter(None, (plan.path, *keys))), rest)


def construct_part(part: Part, supplied: dict[str, Any]) -> Any:
    """Build one component, with what its owner supplies beside what is written.

    Raises:
        BuildError: its constructor, or that of a child, refused its values.
    """
    arguments = {key: construct(value) for key, value in part.arguments.items() if key not in supplied}
    try:
        return part.cls(**arguments, **supplied)
    except (ConfigError, KeyboardInterrupt):
        raise
    except (Exception, SystemExit) as error:
        raise refusal(part, error) from error


def refusal(part: Part, error: BaseException) -> ConfigError:
    """What is told when a component refuses its values.

    The place is where the component is named; or, where the message speaks of an argument that another file
    or the command line has overridden, the override.
    """
    if isinstance(error, Refusals):
        each = [refusal(part, ValueError(text)) for text in error.texts]
        return ConfigError(problem for one in each for problem in one.problems)
    place, path = part.mark, part.path
    words = re.findall(r"\w+", str(error))
    spoken = [word for word in words if word in part.marks]
    overridden = [key for key in spoken if part.marks[key].file != part.mark.file]
    if overridden:
        place, path = part.marks[overridden[0]], f"{part.path}.{overridden[0]}".lstrip(".")
    return BuildError(place, path, part.name or part.cls.__name__, error)
