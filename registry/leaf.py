"""Whether a plain value is of a type, and the value as that type: jsonargparse decides, value by value."""

from __future__ import annotations

import functools
import inspect
import operator
import types
import typing
from typing import Any, Literal, get_args, get_origin

from vlmloom.registry.hints import members, unwrap


class WrongType(ValueError):
    """A value is not of the type."""


def convert(value: Any, hint: Any) -> Any:
    """The value as the hint's type: an int where a float is asked for becomes a float.

    Raises:
        WrongType: it is not of that type.
    """
    if hint is Any or hint is object:
        return value
    options = [unwrap(member) for member in members(hint)]
    for option in options:
        if option is Any or (type(value) is option and option in (bool, int, float, str)):
            return value
    if value is None:
        if type(None) in options or None in options:
            return None
        raise WrongType
    for option in options:
        literals = get_args(option) if get_origin(option) is Literal else ()
        if any(literal == value and type(literal) is type(value) for literal in literals):
            return value
    if not isinstance(value, str) and all(get_origin(option) is Literal for option in options):
        raise WrongType
    # An instance that a caller built already.
    if any(
        inspect.isclass(option) and not isinstance(value, str) and _is(value, option) for option in options
    ):
        return float(value) if options == [float] else value
    parser = _parser(functools.reduce(operator.or_, options))
    if parser is None:
        return value
    from jsonargparse import ArgumentError

    try:
        found = parser.parse_object({"value": value}).value
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        raise WrongType from error
    if isinstance(value, str) and isinstance(found, bool | int | float | list | tuple | dict):
        # jsonargparse reads text as YAML once more, but what is written in quotes is text.
        raise WrongType
    return found


def _is(value: Any, option: type) -> bool:
    if isinstance(value, bool):
        return option is bool
    if isinstance(value, int) and option is float:
        return True
    try:
        return isinstance(value, option)
    except TypeError:
        return False


@functools.cache
def _parser(hint: Any) -> Any:
    """A parser with one option of this type; None where jsonargparse knows no such type."""
    if isinstance(hint, (typing.TypeVar, types.GenericAlias)) and not get_args(hint):
        return None
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_argument("--value", type=hint)
    except (ValueError, TypeError):
        return None
    return parser
