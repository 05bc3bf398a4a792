"""Options that several verbs share."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from vlmloom.pipelines.scoring.line import SECONDS
from vlmloom.registry import catalog
from vlmloom.registry.errors import UserError, nearest

if TYPE_CHECKING:
    from vlmloom.components.contracts.suite import Suite
    from vlmloom.pipelines.scoring.limited import Limits


class OneLineParser(argparse.ArgumentParser):
    """Tells a mistake in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """See `cli.main`, which tells it."""
        raise UserError(f"{self.prog}: {message}; `{self.prog} --help` tells what would be right")


def verb_parser(subparsers: Any, name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
    """A verb's parser with its examples printed as they are written."""
    return subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_composition(parser: argparse.ArgumentParser) -> None:
    """`--scale`, `--set`, `--swap`, found as `args.scale`, `args.sets`, `args.swaps`."""
    parser.add_argument(
        "--scale", default="nano", help="the size that a name without one means (default: nano)"
    )
    add_overrides(parser, "give a leaf another value")


def add_verifiers(parser: argparse.ArgumentParser) -> None:
    """`--verifier`, any number of times, found as `args.verifier`."""
    parser.add_argument(
        "--verifier",
        action="append",
        default=[],
        metavar="NAME=KIND/NAME[,KEY=VALUE]",
        help="a verifier with arguments, or `NAME={use: ...}`; lines know it by NAME",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """`--seconds` and `--limit`, for `read_limits`."""
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="to judge one answer (default: %(default)g)"
    )
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=SECONDS", help="of one verifier or task"
    )


DAY = 86_400
"""Seconds, the most that an answer may take."""


def read_limits(
    verb: str, args: argparse.Namespace, suite: Suite | None, verifiers: Iterable[str] = ()
) -> Limits:
    """What `add_limits` was given, for tasks of a suite and for verifiers, declared or registered.

    Raises:
        UserError: one is no number of seconds, or of nothing that there is.
    """
    from vlmloom.pipelines.scoring.limited import Limits

    if not 0 < args.seconds <= DAY:
        raise UserError(f"{verb}: --seconds {args.seconds:g}: above 0, at most {DAY:,} would be right")
    tasks = {} if suite is None else suite.tasks
    known = sorted({*tasks, *verifiers, *(entry.name for entry in catalog().list("reward"))})
    limits = {}
    for text in args.limit:
        name, _, value = text.rpartition("=")
        try:
            limits[name] = float(value)
        except ValueError:
            limits[name] = math.nan
        if not name or not 0 < limits[name] <= DAY:
            raise UserError(f"{verb}: --limit {text}: NAME=SECONDS, above 0, at most {DAY:,}, would be right")
        if name not in known:
            near = nearest(name[:60], known)
            raise UserError(f"{verb}: --limit {text}: no task or verifier {name!r:.60} is here; {near}")
    return Limits(args.seconds, limits)


def add_overrides(parser: argparse.ArgumentParser, told: str) -> None:
    """`--set` and `--swap`, any number of times, found as `args.sets` and `args.swaps`."""
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help=told)
    parser.add_argument(
        "--swap",
        dest="swaps",
        action="append",
        default=[],
        metavar="PART=KIND/NAME[,KEY=VALUE]",
        help="replace a part; nothing of the old one is inherited",
    )


def add_shard_size(parser: argparse.ArgumentParser) -> None:
    """`--shard-size`, found as `args.shard_size` in bytes."""
    parser.add_argument(
        "--shard-size",
        type=_bytes,
        default="5GB",
        metavar="SIZE",
        help="how large a file of weights may be, such as 5GB or 500MB (default: 5GB)",
    )


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)(K|M|G|T)?B", text.strip().upper())
    if not found or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; a size such as 5GB or 500MB would be right")
    return int(found[1]) * 1000 ** " KMGT".index(found[2] or " ")
