"""What a user is told: one line an error, each with its place."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Mark:
    """A place: a file and a line, or what was typed on the command line (no line)."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        mark: where.
        path: the key, dotted from the top of the file; empty for the file as a whole.
        text: what was found; what would be right.
    """

    mark: Mark
    path: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.mark), self.path, self.text) if part)

    @property
    def order(self) -> tuple[str, int, str]:
        """Sorts by file and line."""
        return self.mark.file, self.mark.line or 0, self.path


class UserError(Exception):
    """A mistake of the user, told in lines; the command line prints them and exits with status 2.

    Attributes:
        lines: one an error.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


class ConfigError(UserError):
    """What is wrong with a YAML, all of it at once, sorted by place.

    Attributes:
        problems: with their places.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(_once(problems), key=lambda problem: problem.order)
        super().__init__(*(str(problem) for problem in self.problems))


def _once(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once; one that repeats from layer to layer is told for the first, with a count."""
    groups: dict[tuple[Mark, str, str], list[Problem]] = {}
    for problem in problems:
        general = re.sub(r"(?<=\.)\d+(?=\.)", "*", problem.path)
        found = groups.setdefault((problem.mark, general, problem.text), [])
        if problem not in found:
            found.append(problem)
    told = []
    for first, *others in groups.values():
        more = f" (and in {len(others)} more of its layers)" if others else ""
        told.append(Problem(first.mark, first.path, first.text + more))
    return told


def one_line(error: BaseException) -> str:
    """The message of an error on one line."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def nearest(name: str, options: Iterable[str], limit: int = 3) -> str:
    """`did you mean a or b?`, else `known: a, b, c`; empty where there are no options."""
    known = sorted(set(options))
    if not known:
        return ""
    close = difflib.get_close_matches(name, known, n=limit, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(known[:12])
    return f"known: {shown}{', ...' if len(known) > 12 else ''}"


def show_path(path: Path) -> str:
    """A path as a person would write it: relative to the working directory where it lies below."""
    resolved = path.resolve()
    try:
        return os.path.relpath(resolved) if resolved.is_relative_to(Path.cwd()) else str(resolved)
    except OSError:
        return str(resolved)
