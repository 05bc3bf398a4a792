"""A released checkpoint's folder, as Hugging Face lays it out: `open_released`, `carry`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmloom.assemblies.native.families import FAMILIES, Family
from vlmloom.pipelines.folders import missing
from vlmloom.pipelines.weights.folder import open_shards, own_file
from vlmloom.pipelines.weights.shards import Shards, read_json
from vlmloom.registry.errors import UserError, nearest

CONFIG = "config.json"
CARRIED = (".json", ".jinja", ".txt", ".model", ".md")
"""What lies beside weights and goes along untouched: tokenizer, processor, generation, licence. No code."""
LARGEST = 200_000_000


@dataclass
class Released:
    """A released checkpoint.

    Attributes:
        folder: where it lies.
        family: its architecture.
        config: config.json.
        shards: its tensors, by the names of today's files.
        beside: the files that go along with its weights.
    """

    folder: Path
    family: Family
    config: dict[str, Any]
    shards: Shards
    beside: list[Path]


def open_released(folder: Path) -> Released:
    """Open a checkpoint and check all that can be checked without reading its data.

    Raises:
        UserError: it is no checkpoint, of an unknown architecture, incomplete or damaged.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: {missing(folder)}; the folder of a checkpoint would be right")
    if not own_file(folder / CONFIG):
        raise UserError(f"{folder}: is no checkpoint; it has no {CONFIG}")
    config = read_json(folder / CONFIG)
    named = config.get("model_type")
    if not isinstance(named, str) or named not in FAMILIES:
        known = nearest(str(named), FAMILIES) if isinstance(named, str) else f"known: {', '.join(FAMILIES)}"
        raise UserError(f"{folder / CONFIG}: model_type is {named!r}, which has no key map; {known}")
    shards = open_shards(folder)
    family = FAMILIES[named]
    today: dict[str, str] = {}
    for name in shards:
        now = family.today(name)
        if now in today:
            raise UserError(f"{folder}: holds {now} twice, as {today[now]} and as {name}")
        today[now] = name
    shards.stored = {now: shards.stored[name] for now, name in today.items()}
    return Released(folder, family, config, shards, list(carried(folder)))


def carried(folder: Path) -> Iterator[Path]:
    """The files of a checkpoint's folder that go along with its weights.

    Raises:
        UserError: one is a link out of the folder.
    """
    for path in sorted(folder.iterdir()):
        named = path.suffix in CARRIED or path.name.upper().startswith(("LICENSE", "NOTICE"))
        if named and not path.name.endswith(".index.json") and own_file(path):
            if path.stat().st_size <= LARGEST:
                yield path


def carry(files: Iterable[Path], target: Path) -> None:
    """Copy those files, byte for byte."""
    target.mkdir(exist_ok=True)
    for path in files:
        shutil.copyfile(path, target / path.name)
