"""An assembly of ours to a checkpoint that transformers and what reads its files load: `export_released`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vlmloom.assemblies.native.families import FAMILIES, Family
from vlmloom.assemblies.native.families.described import described, multi_token
from vlmloom.assemblies.native.families.family import MTP
from vlmloom.assemblies.native.families.keys import Link, Piece
from vlmloom.assemblies.native.families.multimodal import TOKENS
from vlmloom.assemblies.native.families.settings import ABSENT, Tree, Unfit, dig
from vlmloom.pipelines.files import new_folder
from vlmloom.pipelines.folders import CARRIED, TOKENIZER, TOKENIZER_FILES
from vlmloom.pipelines.loading import compose_assembly
from vlmloom.pipelines.weights.pictures import processor_files
from vlmloom.pipelines.weights.released import CONFIG, carried
from vlmloom.pipelines.weights.shards import FLOATS, read_json
from vlmloom.pipelines.weights.sources import Source, open_ours
from vlmloom.pipelines.weights.writing import SHARD_BYTES, Item, bytes_of, write_shards
from vlmloom.registry.build import build
from vlmloom.registry.dry import on_meta
from vlmloom.registry.errors import UserError, one_line
from vlmloom.registry.plan import values
from vlmloom.registry.walk import check

WORDS = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def export_released(
    source: Path,
    out: Path,
    *,
    like: Path | None = None,
    dtype: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    tell: Callable[[str], None] = lambda line: None,
) -> Family:
    """Export a checkpoint of ours; `out` is written whole or not at all.

    Args:
        source: an import, a run, a training checkpoint or the folder of a sharded one.
        out: to be made; empty or not there yet.
        like: a released checkpoint of the same architecture, whose config.json, tokenizer and other files
            go along; an import has its own.
        dtype: of the weights, as safetensors names it; None keeps theirs.
        shard_bytes: the size of the shards.
        tell: takes what is worth knowing.

    Raises:
        UserError: it fits no architecture, or cannot be read or written.
    """
    weights, folder = open_ours(source)
    beside = like or (folder / CARRIED if (folder / CARRIED).is_dir() else None)
    base = None if beside is None else read_json(beside / CONFIG)
    composed = compose_assembly(folder)
    plan = check(composed)
    family, assembly, config = _family(source, described(plan), base)
    with on_meta():
        module = build(composed)
    state = module.state_dict()
    _complete(source, weights, state)
    head = multi_token(values(plan))
    names = {_canonical(name, head): name for name in state}
    links = family.links(assembly, {now: tuple(state[name].shape) for now, name in names.items()})
    buffers = {name for name, _ in module.named_buffers()}
    items: list[Item] = []
    for one in links:
        name = names[one.ours]
        items += _items(one, name, weights, None if name in buffers else dtype)
    types = [item.dtype for item in items]
    main = dtype or max(dict.fromkeys(types), key=types.count)
    if base is None:
        _finish(config, family, folder, main)
    elif dtype is not None:
        _say_dtype(config, WORDS[dtype])
    spec = module.patch_specs().get("vision")
    written = processor_files(spec, beside) if spec is not None else {}
    if config != base:
        written[CONFIG] = config
    with new_folder(out) as part:
        write_shards(part, items, shard_bytes)
        words = (path for name in TOKENIZER_FILES if (path := folder / name).is_file())
        for path in words if beside is None else carried(beside):
            if path.name not in written:
                shutil.copyfile(path, part / path.name)
        for name, content in written.items():
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            (part / name).write_text(text, encoding="utf-8")
    tell(f"{family.model_type}: {len(links):,} tensors into {len(items):,} of {WORDS[main]}")
    if spec is not None and beside is None and not written.keys() - {CONFIG}:
        tell("no processor goes along: those of transformers cut pictures by vision.resize without pad")
    if (shared := dig(assembly, "head.mtp")) is not ABSENT and shared["modules"] < shared["depth"]:
        tell(f"its multi-token module looks {shared['depth']} tokens ahead here; files do not say how many")
    return family


def _family(source: Path, assembly: Tree, base: Mapping[str, Any] | None) -> tuple[Family, Tree, Tree]:
    """The architecture that an assembly is of, the assembly, and its config.json.

    glm4v and glm46v differ in the frames that are taken of a video alone.

    Raises:
        UserError: it is of none; says what does not fit the nearest one.
    """
    tried: list[tuple[Family, list[str]]] = []
    fit: list[tuple[Family, Tree, Tree]] = []
    named = None if base is None else base.get("model_type")
    for family in FAMILIES.values() if base is None else filter(None, [FAMILIES.get(str(named))]):
        try:
            fit.append((family, assembly, family.config(assembly, base)))
        except Unfit as unfit:
            tried.append((family, unfit.lines))
    if fit:
        rule = dig(assembly, "vision.sampling")
        return next((one for one in fit if one[0].model_type == rule), fit[0])
    if not tried:
        raise UserError(f"{source}: model_type {named!r} has no key map; known: {', '.join(FAMILIES)}")
    nearest, lines = min(tried, key=lambda one: len(one[1]))
    shown = "; ".join(lines[:4]) + (f"; and {len(lines) - 4} more" if len(lines) > 4 else "")
    which = f"{nearest.model_type}, the nearest" if base is None else nearest.model_type
    raise UserError(f"{source}: does not fit {which}: {shown}")


def _canonical(name: str, head: str | None) -> str:
    """A name of ours with the multi-token head under its usual name."""
    return (
        f"{MTP}." + name.removeprefix(f"head.{head}.") if head and name.startswith(f"head.{head}.") else name
    )


def _complete(source: Path, weights: Source, state: Mapping[str, Tensor]) -> None:
    """See that a checkpoint holds the model's state.

    Raises:
        UserError: it does not.
    """
    missing = [name for name in state if name not in weights]
    unknown = [name for name in weights if name not in state]
    misshapen = [
        f"{name} {list(weights.shape(name))} for {list(one.shape)}"
        for name, one in state.items()
        if name in weights and weights.shape(name) != tuple(one.shape)
    ]
    wrong = [f"{name} {weights.dtype(name)}" for name in weights if weights.dtype(name) not in FLOATS]
    kinds = (("missing", missing), ("unknown", unknown), ("misshapen", misshapen), ("of a wrong type", wrong))
    if faults := [f"{len(names)} {what}: {', '.join(names)}" for what, names in kinds if names]:
        raise UserError(f"{source}: its weights are not those of its configuration; {'; '.join(faults)}")


def _items(one: Link, name: str, weights: Source, dtype: str | None) -> list[Item]:
    """The tensors of theirs that one of ours holds."""
    stored = weights.dtype(name)

    def chunks(piece: Piece) -> Iterator[memoryview]:
        if one.order:
            found = bytes_of(one.to_theirs(weights.tensor(name)))
        else:
            found = weights.chunks(name, piece.start, piece.stop)
        for chunk in found:
            if dtype is None or dtype == stored:
                yield chunk
            else:
                yield from bytes_of(torch.frombuffer(chunk, dtype=FLOATS[stored]).to(FLOATS[dtype]))

    return [Item(piece.name, dtype or stored, piece.shape, partial(chunks, piece)) for piece in one.pieces]


def _finish(config: Tree, family: Family, folder: Path, dtype: str) -> None:
    """What a config.json holds that no assembly says."""
    config["architectures"] = [family.architecture]
    config["dtype"] = WORDS[dtype]
    if (folder / TOKENIZER).is_file():
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as fault:  # The library raises plain Exception.
            raise UserError(f"{folder / TOKENIZER}: is no tokenizer.json ({one_line(fault)})") from None
        found = {place: tokenizer.token_to_id(token) for place, token in TOKENS.items()}
        config |= {place: number for place, number in found.items() if number is not None}


def _say_dtype(config: Tree, dtype: str) -> None:
    for part in (config, config.get("text_config"), config.get("vision_config")):
        for key in ("dtype", "torch_dtype"):
            if isinstance(part, dict) and key in part:
                part[key] = dtype
