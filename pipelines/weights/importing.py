"""A released checkpoint to an assembly's YAML and our shards: `import_released`.

OUT holds `assembly.yaml`, our shards with their index, `hf/` with the files that came beside the weights, and
`config.yaml`: the experiment that `ask` and `evaluate` read, and that a training may begin with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vlmloom.assemblies.native.families.described import described
from vlmloom.assemblies.native.families.family import Family
from vlmloom.assemblies.native.families.keys import Link
from vlmloom.assemblies.native.families.settings import Unfit, dig, their_place
from vlmloom.pipelines.files import new_folder
from vlmloom.pipelines.folders import ASSEMBLY, CARRIED
from vlmloom.pipelines.folders import CONFIG as EXPERIMENT
from vlmloom.pipelines.weights.pictures import picture_settings
from vlmloom.pipelines.weights.released import CONFIG, Released, carry, open_released
from vlmloom.pipelines.weights.shards import FLOATS, NAMES, Shards
from vlmloom.pipelines.weights.tokens import strange_ids
from vlmloom.pipelines.weights.writing import SHARD_BYTES, Item, bytes_of, write_shards
from vlmloom.registry.build import as_yaml, build
from vlmloom.registry.compose import HERE, compose
from vlmloom.registry.dry import on_meta
from vlmloom.registry.errors import ConfigError, Mark, UserError
from vlmloom.registry.marked import mark_all
from vlmloom.registry.walk import check

Tell = Callable[[str], None]


def import_released(
    source: Path, out: Path, *, shard_bytes: int = SHARD_BYTES, tell: Tell = lambda line: None
) -> Family:
    """Import a checkpoint; `out` is written whole or not at all.

    Weights pass a piece at a time: no fused tensor is in memory whole, let alone a shard.

    Args:
        source: its folder.
        out: to be made; empty or not there yet.
        shard_bytes: the size of our shards.
        tell: takes what is worth knowing.

    Raises:
        UserError: it cannot be imported; says all that is wrong that can be told at once.
    """
    opened = open_released(source)
    with opened.shards:
        assembly = assembly_of(opened)
        links, dtypes = _links(opened.family, assembly, source / CONFIG)
        needed = match(opened, links)
        with new_folder(out) as part:
            items = [_item(one, opened.shards, needed, dtypes) for one in links]
            write_shards(part, items, shard_bytes)
            carry(opened.beside, part / CARRIED)
            (part / ASSEMBLY).write_text(_assembly_yaml(opened, assembly), encoding="utf-8")
            (part / EXPERIMENT).write_text(_experiment_yaml(opened.family, assembly), encoding="utf-8")
    modules = dig(assembly, "head.mtp.depth")
    tell(
        f"{opened.family.model_type}: {len(opened.shards.stored):,} tensors into {len(links):,}"
        + (f", {modules} multi-token module{'s' * (modules > 1)}" if isinstance(modules, int) else "")
    )
    if opened.shards.unsealed:
        unsealed = ", ".join(sorted(opened.shards.unsealed))
        tell(f"no checksum known of {unsealed}: a changed number that is finite would go unseen")
    for line in strange_ids(source, opened.config):
        tell(line)
    return opened.family


def assembly_of(opened: Released) -> dict[str, Any]:
    """The assembly of a checkpoint, as a YAML would hold it.

    Raises:
        UserError: config.json lacks a value, or holds one that our parts do not compute.
    """
    family = opened.family
    steps, tables = multi_token_modules(family, opened.config, opened.shards) if family.mtp else (0, False)
    try:
        most = most_of(opened.shards)
        assembly = family.assembly(opened.config, steps=steps, tables=tables, most=most)
    except Unfit as unfit:
        raise UserError(*_amiss(opened.folder / CONFIG, family, unfit.lines)) from None
    if "vision" in assembly:
        assembly["vision"] |= picture_settings(opened.folder, assembly)
    return assembly


def _amiss(where: Path, family: Family, lines: Sequence[str]) -> list[str]:
    """What is wrong with a config.json: one line, or one and a list."""
    if len(lines) == 1:
        return [f"{where}: {lines[0]}"]
    count = f"{where}: describes no {family.model_type}: {len(lines)} of its values are missing or wrong"
    return [count, *(f"  {line}" for line in lines)]


def most_of(shards: Shards) -> dict[str, int]:
    """The largest counts of layers and experts of which a checkpoint can hold the tensors.

    A layer has tensors of its own. Experts have some each, or lie along the first axis of one of three axes.
    """
    stacked = [shards.shape(name)[0] for name in shards if len(shards.shape(name)) > 2]
    return {
        "language.depth": len(shards.stored),
        "vision.depth": len(shards.stored),
        "language.layers.<sparse>.ffn.experts": max([len(shards.stored), *stacked]),
    }


def multi_token_modules(family: Family, config: Mapping[str, Any], shards: Shards) -> tuple[int, bool]:
    """How many multi-token modules a checkpoint holds, and whether they have tables of their own.

    They are the layers beyond those that config.json counts, whatever it says of them: transformers drops
    their weights when it saves and keeps their number.
    """
    depth = dig(config, family.depth)
    if not isinstance(depth, int):
        return 0, False
    layer = re.compile(re.escape(f"{family.language}layers.") + r"(\d+)\.(.*)")
    found = [(int(match[1]), match[2]) for name in shards if (match := layer.fullmatch(name))]
    beyond = [(number, inside) for number, inside in found if number >= depth]
    own = any(inside == "embed_tokens.weight" for _, inside in beyond)
    return len({number for number, _ in beyond}), own


def _links(
    family: Family, assembly: dict[str, Any], where: Path
) -> tuple[list[Link], dict[str, torch.dtype]]:
    """The links of the model that an assembly describes, and the types of its state."""
    try:
        composed = compose(mark_all(assembly, Mark(str(where))))
        plan = check(composed)
        with on_meta():
            state = build(composed).state_dict()
    except ConfigError as error:
        told = ((their_place(family.settings, problem.path), problem.text) for problem in error.problems)
        lines = [f"{place}: {text}" if place else text for place, text in told]
        raise UserError(*_amiss(where, family, lines)) from None
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return family.links(described(plan), shapes), {name: tensor.dtype for name, tensor in state.items()}


def match(opened: Released, links: list[Link]) -> dict[str, bool]:
    """Compare what the links need with what the files hold.

    Returns:
        For each of our tensors whether the files hold its pieces fused.

    Raises:
        UserError: tensors are missing, unknown, misshapen or of a wrong type; all of them, a line each.
    """
    shards, faults = opened.shards, []
    left = {name for name in shards if not name.startswith(opened.family.left or "\0")}
    fused: dict[str, bool] = {}
    for one in links:
        whole = fused[one.ours] = one.fused is not None and one.fused.name in shards
        pieces = (one.fused,) if whole and one.fused is not None else one.pieces
        types: dict[str, str] = {}
        for piece in pieces:
            if piece.name not in shards:
                faults.append(("missing", f"{piece.name} {list(piece.shape)}"))
                continue
            left.discard(piece.name)
            shape, dtype = shards.shape(piece.name), shards.dtype(piece.name)
            if shape != piece.shape:
                faults.append(
                    ("misshapen", f"{piece.name} {list(shape)}, where {list(piece.shape)} would fit")
                )
            if dtype not in FLOATS:
                faults.append(
                    ("of a wrong type", f"{piece.name} {dtype}, where {', '.join(FLOATS)} would fit")
                )
            types.setdefault(dtype, piece.name)
        if len(types) > 1:
            found = " and ".join(f"{name} is {dtype}" for dtype, name in types.items())
            faults.append(("of a wrong type", f"{found}; they lie in one tensor here"))
    faults += [("unknown", f"{name} {list(shards.shape(name))}") for name in sorted(left)]
    if faults:
        kinds = ("missing", "unknown", "misshapen", "of a wrong type")
        lines = {kind: [line for what, line in faults if what == kind] for kind in kinds}
        count = ", ".join(f"{len(found)} {kind}" for kind, found in lines.items() if found)
        each = [f"  {kind}: {line}" for kind, found in lines.items() for line in found]
        raise UserError(
            f"{opened.folder}: its tensors are not those of {opened.family.model_type}: {count}", *each
        )
    return fused


def _item(one: Link, shards: Shards, fused: Mapping[str, bool], dtypes: Mapping[str, torch.dtype]) -> Item:
    """How one of our tensors is put together."""
    if not one.pieces:
        dtype = dtypes[one.ours]
        zeros = torch.zeros(one.shape, dtype=dtype)
        return Item(one.ours, NAMES[dtype], one.shape, lambda: bytes_of(zeros))
    pieces = (one.fused,) if fused[one.ours] and one.fused is not None else one.pieces
    dtype_name = shards.dtype(pieces[0].name)

    def chunks() -> Iterator[memoryview]:
        for piece in pieces:
            if one.order:
                yield from bytes_of(one.to_ours(shards.tensor(piece.name)))
            else:
                yield from shards.chunks(piece.name)

    assert sum(math.prod(piece.shape) for piece in pieces) == math.prod(one.shape)
    return Item(one.ours, dtype_name, one.shape, chunks)


def _assembly_yaml(opened: Released, assembly: dict[str, Any]) -> str:
    return (
        f"# Imported from a {opened.family.model_type} checkpoint; every number is from {CARRIED}/{CONFIG}.\n"
        f"# The weights lie beside it: vlmloom.pipelines.loading.load_assembly(FOLDER) builds the model.\n"
        f"{as_yaml(assembly)}"
    )


def _experiment_yaml(family: Family, assembly: Mapping[str, Any]) -> str:
    """The model with its own words on the nano suite, pictures withheld where it cannot see."""
    words = {"use": "tokenizer/hf", "folder": f"{HERE}/{CARRIED}"}
    experiment = {
        "name": family.model_type,
        "assembly": {"extends": ASSEMBLY},
        "weights": {"folder": HERE},
        "data": {
            "extends": "data/nano",
            "swap": {"tokenizer": words, "processor": {"use": "processor/glm_chat"}},
        },
        "answer_tokens": 256,
        "stages": [
            {
                "name": "tune",
                "view": "question" if "vision" in assembly else "withheld",
                "objective": {"use": "objective/next_token"},
                "optimizer": {"use": "optimizer/adamw", "lr": 1e-5},
            }
        ],
        "budget": {"samples": 20_000},
    }
    return (
        "# What `vlmloom ask` and `vlmloom evaluate` ask this model, and a training that begins with it:\n"
        f"#   vlmloom fit -c {EXPERIMENT} --swap assembly.projector=projector/mlp,hidden=2048\n"
        f"# {HERE} is the folder of this file, wherever it lies.\n"
        f"{as_yaml(experiment)}"
    )
