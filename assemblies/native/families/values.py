"""What a value of config.json has to be before a model is made of it: `right_kind`, `counted`, `named`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmloom.assemblies.native.families.settings import ABSENT, dig

LARGEST = 1 << 24
"""More than any axis, count or context of a model; a longer one only shows that a file is damaged."""
ENDLESS = 1e12
"""More than any base of rotary positions, factor or epsilon."""


def right_kind(value: Any, default: Any, most: int = LARGEST) -> str | None:
    """What would be right where a value cannot be meant; None where it can.

    Args:
        value: found in config.json.
        default: what is meant where nothing is found; a flag, a number that is no count, or a list say what
            is wanted, and everything else is a count.
        most: the largest count.
    """
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, float):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return None if fits and 0 < value < ENDLESS else f"a number from above 0 to {ENDLESS:.0e}"
    if isinstance(default, list):
        fits = isinstance(value, list) and len(value) == len(default)
        whole = fits and all(isinstance(one, int) and 0 <= one <= LARGEST for one in value)
        return None if whole else f"a list of {len(default)} whole numbers"
    fits = isinstance(value, int) and not isinstance(value, bool)
    return None if fits and 1 <= value <= most else f"a whole number from 1 to {most:,}"


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def counted(config: Mapping[str, Any], place: str, default: int | None = None) -> int:
    """How many layers a place in config.json speaks of.

    Raises:
        ValueError: it is no such number.
    """
    found = dig(config, place)
    found = default if found in (ABSENT, None) else found
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ValueError(f"{place} is {short(found)}; a whole number would be right")
    return found


def named(config: Mapping[str, Any], key: str, depth: int, known: Mapping[str, str]) -> list[str] | None:
    """What a key says of each layer, by names that are meant; None where it says nothing.

    Raises:
        ValueError: it is no list of such names, a layer each.
    """
    found = config.get(key)
    if found is None:
        return None
    if not isinstance(found, list | str) or len(found) < depth or not {*map(str, found)} <= known.keys():
        raise ValueError(
            f"{key} is {short(found)}; {' or '.join(known)} for each of {depth} layers would be right"
        )
    return [known[one] for one in found[:depth]]
