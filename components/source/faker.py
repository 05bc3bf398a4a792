"""Faker: names, addresses, sentences and amounts as people write them."""

from __future__ import annotations

import inspect
from datetime import date
from importlib import metadata, util
from typing import Any

from vlmloom.components.contracts.sources import SourceMissing, TextSource
from vlmloom.registry import register

END = date(2026, 1, 1)
"""Left to itself, Faker spreads its dates up to this second: a seed would not give the same tomorrow."""


@register("source/faker")
class FakerText(TextSource):
    """Texts of Faker's providers, each by a seed of its own.

    Args:
        locale: whose names and addresses, e.g. `de_DE`.

    Reference: https://github.com/joke2k/faker
    """

    package = "PyPI faker"
    licence = "MIT"

    def __init__(self, *, locale: str = "en_US") -> None:
        self.locale = locale
        self._faker: Any = None
        self._fixed: dict[str, dict[str, date]] = {}

    def available(self) -> str | None:
        """None where Faker is installed."""
        return None if util.find_spec("faker") else "source/faker: pip install faker (extra: tasks)"

    def prepare(self) -> None:
        """Nothing: texts are written when they are asked for."""

    def version(self) -> str:
        """Of the package."""
        return metadata.version("faker")

    def write(self, what: str, seed: int) -> str:
        """What Faker's method of this name gives for the seed, as one line; dates end with 2025.

        Raises:
            SourceMissing: Faker is not installed.
            ValueError: the locale or the method is unknown to it.
        """
        if self._faker is None:
            self._faker = self._made()
        self._faker.seed_instance(seed)
        method = getattr(self._faker, what, None)
        if method is None:
            raise ValueError(
                f"source/faker: {what!r} is no provider of Faker; name or sentence would be right"
            )
        if what not in self._fixed:
            dated = "end_datetime" in inspect.signature(method).parameters
            self._fixed[what] = {"end_datetime": END} if dated else {}
        return " ".join(str(method(**self._fixed[what])).split())

    def _made(self) -> Any:
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
        from faker import Faker

        try:
            return Faker(self.locale)
        except AttributeError:
            raise ValueError(
                f"source/faker: locale {self.locale!r} is unknown to Faker; en_US would be right"
            ) from None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_faker": None}
