"""`vlmloom show`: what a model is made of, and what it costs."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_composition, verb_parser

SUMMARY = "show an assembly's parts, shapes, parameters, FLOPs and memory"

EPILOG = """examples:
  vlmloom show native
  vlmloom show native --scale glm5v_turbo
  vlmloom show native --swap projector=projector/mlp --set language.depth=6
  vlmloom show my_assembly.yaml --json
  vlmloom show runs/native
      a run's folder, or that of an imported checkpoint

Nothing is allocated: published sizes take seconds. docs/cli.md describes the JSON.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "show", SUMMARY, EPILOG)
    parser.add_argument(
        "assembly",
        metavar="ASSEMBLY",
        help="a name, a YAML of an assembly or an experiment, or a run's folder",
    )
    add_composition(parser)
    parser.add_argument(
        "--context", type=_positive, default=1024, help="tokens of the text that FLOPs are told for"
    )
    parser.add_argument(
        "--image", type=_size, default=(224, 224), metavar="HxW", help="pixels (default: 224x224)"
    )
    parser.add_argument("--json", action="store_true", help="an object: parameters, flops, bytes, tree")
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; a number of tokens above 0 would be right")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found or min(map(int, found.groups())) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; height and width such as 224x224 would be right")
    return int(found[1]), int(found[2])


def run(args: argparse.Namespace) -> int:
    """Print the summary."""
    from vlmloom.assemblies.assembly import Assembly
    from vlmloom.pipelines.folders import assembly_file
    from vlmloom.pipelines.summary import summarise
    from vlmloom.registry.build import build
    from vlmloom.registry.compose import compose
    from vlmloom.registry.dry import on_meta
    from vlmloom.registry.errors import UserError
    from vlmloom.registry.walk import check

    named = args.assembly
    if Path(named).is_dir():
        named = str(assembly_file(Path(named)))
    composed = compose(named, scale=args.scale, sets=args.sets, swaps=args.swaps, lenient=True)
    inner = composed.root.value.get("assembly")
    if inner is not None and not composed.root.names_component():
        composed.root = inner
    check(composed)
    with on_meta():
        assembly = build(composed)
    if not isinstance(assembly, Assembly):
        raise UserError(
            f"{composed.source}: {composed.root.get('use')} is no assembly; show takes a whole model"
        )
    summary = summarise(assembly, context=args.context, image=args.image)
    summary = {"source": composed.source, "use": assembly.registered_name} | summary
    if args.json:
        print(json.dumps(summary, indent=2))
    else:
        _print(summary)
    return 0


def _print(summary: dict[str, Any]) -> None:
    from rich.table import Table

    from vlmloom.pipelines.quiet import plain_console

    # Numbers that are cut off tell nothing: a narrow terminal wraps, a file or a pipe gets whole lines.
    console = plain_console(stderr=False)
    console.width = max(console.width, 112)
    table = Table(
        title=f"{summary['use']}  ({summary['source']})", title_justify="left", box=None, pad_edge=False
    )
    for column, side in (("part", "left"), ("component", "left"), ("gives", "left"), ("parameters", "right")):
        table.add_column(column, justify=side, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("active", justify="right", no_wrap=True)
    _rows(table, summary["tree"]["children"], 0)
    console.print(table)
    parameters, flops, memory = summary["parameters"], summary["flops"], summary["bytes"]
    height, width = flops["image"]
    names = {
        "embedding": "embedding",
        "output_head": "output head",
        "other_heads": "multi-token heads",
        "vision": "vision",
        "projector": "projector",
        "rest": "other parts",
    }
    beside = ", ".join(
        f"{name} {count_of(parameters[key])}" for key, name in names.items() if parameters[key]
    )
    without = f"; without multi-token heads {count_of(parameters['without_other_heads'])}"
    console.print(
        f"\nparameters  {parameters['total']:,} ({count_of(parameters['total'])})"
        f"{without if parameters['other_heads'] else ''}\n"
        f"active      {count_of(parameters['active'])} for a token of text; beside them {beside}\n"
        f"FLOPs       {_short(flops['per_token'])} a token of text (forward, {flops['context']:,} tokens), "
        + (
            f"{_short(flops['per_image'])} an image of {height}x{width} ({flops['visual_tokens']} tokens)\n"
            if flops["per_image"]
            else "no visual tokens\n"
        )
        + f"memory      weights {_size_of(memory['weights'])}, gradients {_size_of(memory['gradients'])}, "
        f"optimizer {_size_of(memory['optimizer'])} (AdamW) in fp32; "
        f"weights in bf16 {_size_of(memory['bf16'])}"
    )


def _rows(table: Any, children: list[dict[str, Any]], level: int) -> None:
    """A row a part; parts that differ only in the number of their layer share one."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for child in children:
        groups.setdefault(json.dumps(_general(child)), []).append(child)
    for alike in groups.values():
        first, count = alike[0], len(alike)
        given = first["output"]
        gives = "" if given is None else f"{given['stream']} [{given['tokens'] or 'T'}, {given['width']}]"
        total, active = (count * first["parameters"][key] for key in ("total", "active"))
        name = "  " * level + _name([part["name"] for part in alike])
        table.add_row(
            name, first["use"] + (f" x {count}" if count > 1 else ""), gives, f"{total:,}", f"{active:,}"
        )
        if (blocks := first["blocks"]) is not None:
            counts = (count * blocks["parameters"][key] for key in ("total", "active"))
            table.add_row(
                f"{'  ' * (level + 1)}blocks",
                f"{blocks['count']} layers",
                "",
                *(f"{one:,}" for one in counts),
            )
        _rows(table, first["children"], level + 1)


def _general(part: dict[str, Any]) -> list[Any]:
    """What layers that are alike have in common."""
    name = re.sub(r"(?<=\.)\d+(?=\.)", "*", part["name"])
    inside = [_general(child) for child in part["children"]]
    return [name, part["use"], part["parameters"], part["output"], part["blocks"], inside]


def _name(names: list[str]) -> str:
    """`blocks.1:4.ffn` for `blocks.1.ffn`, `blocks.2.ffn`, `blocks.3.ffn`."""
    numbers = [[int(number) for number in re.findall(r"(?<=\.)\d+(?=\.)", name)] for name in names]
    if len(names) == 1 or any(len(found) != 1 for found in numbers):
        return names[0]
    layers = [found[0] for found in numbers]
    whole = layers == list(range(layers[0], layers[0] + len(layers)))
    chosen = f"{layers[0]}:{layers[-1] + 1}" if whole else ",".join(map(str, layers))
    return re.sub(r"(?<=\.)\d+(?=\.)", chosen, names[0])


def count_of(parameters: int) -> str:
    """A number of parameters as papers write it: `403.02 M`, `1,107.41 M`, `107.74 B`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if parameters >= size * (10 if unit == "B" else 1):
            return f"{parameters / size:,.2f} {unit}"
    return str(parameters)


def _short(count: float) -> str:
    for unit in ("", "K", "M", "G", "T", "P"):
        if count < 1000 or unit == "P":
            return f"{count:.3g}{unit}" if count < 1000 else f"{count:,.0f}{unit}"
        count /= 1000
    raise AssertionError


def _size_of(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
