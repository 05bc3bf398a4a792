"""The `vlmloom` command: one verb a file in `pipelines/verbs/`.

A verb's module has `SUMMARY`, `add_parser(subparsers)`, which makes its parser and sets the default `run`,
and `run(args) -> int`, the exit status. Modules of verbs import nothing heavy: `run` does. A verb whose
parser sets `passes_on=True` is called as `run(args, rest)` with the options that it does not know.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vlmloom import __version__
from vlmloom.pipelines.arguments import OneLineParser
from vlmloom.pipelines.telling import tell
from vlmloom.registry.errors import told
from vlmloom.registry.register import DuplicateName

EPILOG = """examples:
  vlmloom ls projector
      the components of a kind
  vlmloom show native --swap projector=projector/linear
      a model's parts, shapes, parameters and costs
  vlmloom fit -c nano/native --out runs/native
      train an experiment
  vlmloom compare native adapter cascade --out runs/compare
      train designs under one budget and write a report
"""

ORDER = tuple("ls show validate fit compare ablate evaluate evaluate-vision ask import export".split())
"""How verbs are listed; others follow by name."""


def verbs() -> list[str]:
    """The verbs that there are, a file each; `import_` is `import`, and `a_b` is `a-b`."""
    folder = Path(__file__).parent / "verbs"
    stems = (path.stem for path in folder.glob("*.py"))
    found = {stem.rstrip("_").replace("_", "-") for stem in stems if not stem.startswith("_")}
    return sorted(found, key=lambda verb: (ORDER.index(verb) if verb in ORDER else len(ORDER), verb))


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command's parser, with all verbs or just one."""
    made = OneLineParser(
        prog="vlmloom",
        description="Compose, train and compare vision-language models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"vlmloom {__version__}")
    made.set_defaults(passes_on=False)
    subparsers = made.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for verb in verbs() if only is None else [only]:
        name = f"{verb}_" if verb in ("import",) else verb.replace("-", "_")
        importlib.import_module(f"vlmloom.pipelines.verbs.{name}").add_parser(subparsers)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Returns:
        The exit status: 0, 1 where the verb found something amiss, 2 for a mistake of the user (told in one
        line an error), 130 when interrupted.
    """
    # OpenMP reads this when torch is loaded. Threads that spin for long while they wait stall one another as
    # soon as another process wants a core, and threads that sleep at once are late for short products: a
    # thousand turns are most of both (docs/log.md).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    arguments = list(sys.argv[1:] if argv is None else argv)
    only = arguments[0] if arguments and arguments[0] in verbs() else None
    try:
        made = parser(only)
        args, rest = made.parse_known_args(arguments)
        if args.passes_on:
            return int(args.run(args, rest) or 0)
        if rest:
            made.error(f"unknown option {rest[0]}; `vlmloom {args.verb} --help` lists those of {args.verb}")
        return int(args.run(args) or 0)
    except DuplicateName as error:
        print(error, file=sys.stderr)
        return 2
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe (`vlmloom ls | head`) has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        lines = told(error)
        if lines is None:
            raise
        tell(lines)
        return 2


def command() -> NoReturn:
    """The `vlmloom` command: `main`, and the end of the process."""
    status = main()
    if "vlmloom.pipelines.ranks" in sys.modules:
        from vlmloom.pipelines.ranks import leave

        leave(status)
    raise SystemExit(status)
