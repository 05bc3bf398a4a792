"""`python -m benchmarks [--only NAME ...] [--repeats N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

PARTS = (
    "training",
    "prefill",
    "decoding",
    "speculative",
    "vision",
    "contrastive",
    "loader",
    "experts",
    "mfu",
    "memory",
    "tasks",
    "rewards",
    "verifiers",
    "sandboxes",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", metavar="NAME", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=7, help="timed turns of each side (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there as well")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats: found {options.repeats}; at least 1 would be right")
    return options


def main() -> None:
    options = arguments()
    try:
        import transformers
    except ImportError:
        sys.exit("benchmarks: transformers is not installed; `pip install 'vlmloom[hf]'` would be right")
    from importlib import import_module

    from benchmarks.models import Shape
    from benchmarks.report import show
    from benchmarks.timing import machine

    transformers.logging.set_verbosity_error()
    start = time.perf_counter()
    parts = {name: import_module(f"benchmarks.{name}") for name in PARTS if name in (options.only or PARTS)}
    found: dict[str, Any] = {"machine": machine() | {"transformers": transformers.__version__}}
    for name, part in parts.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        found[name] = part.run(Shape(), options.repeats)
    found["seconds"] = time.perf_counter() - start
    show(found, parts)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
