"""What a user is told: one line an error, each with its place."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable, Sequence
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


class BadInput(UserError, ValueError):
    """An input that a model cannot take: a ValueError to who calls it, one line to who runs a command."""


class ConfigError(UserError):
    """What is wrong with a YAML, all of it at once, sorted by place.

    Attributes:
        problems: with their places.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(_once(problems), key=lambda problem: problem.order)
        super().__init__(*(str(problem) for problem in self.problems))


class Refusals(ValueError):
    """Several values that a constructor refuses, each told on a line of its own.

    A text may begin with the key that it is about, dotted from the constructor's own arguments
    (`stages.1.train: ...`); it is then told at that key's place.

    Attributes:
        texts: one a value.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = list(texts)
        super().__init__("; ".join(self.texts))


def refuse(who: str, texts: Sequence[str]) -> None:
    """Refuse values, each text beginning with who refuses it; nothing happens where there is no text.

    Raises:
        Refusals: there is one.
    """
    if texts:
        raise Refusals(f"{who}: {text}" for text in texts)


def below_one(**sizes: int) -> list[str]:
    """A text for every size that is below one."""
    return [f"{name} is {value}; it must be at least 1" for name, value in sizes.items() if value < 1]


def told(error: BaseException) -> list[str] | None:
    """The lines for an error that is no fault of the program; None for one that is.

    A disk that is full, a file where a folder should be, a folder without permission: what stands in the way
    is named, and a traceback would say no more.
    """
    if isinstance(error, UserError):
        if error.lines and error.lines[0].startswith("Caught "):
            # A worker of a data loader hands on its whole traceback; the last line has the point.
            return [error.lines[0].strip().splitlines()[-1].partition(": ")[2]]
        return error.lines
    if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
        name = error.filename or "standard output"
        return [f"{name}: cannot be used: {error.strerror}; another path or more room would be right"]
    return None


_SURROUNDINGS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


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


def named(error: BaseException) -> str:
    r"""An error on one line, led by its type.

    >>> named(ValueError("no such\n  thing"))
    'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {one_line(error)}"


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
