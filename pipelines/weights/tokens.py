"""Ids of special tokens in a checkpoint's files that its tokenizer does not know so: `strange_ids`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlmloom.assemblies.native.families.multimodal import TOKENS
from vlmloom.components.tokenizer.hf import ENGINE, GENERATION, HF
from vlmloom.pipelines.weights.released import CONFIG
from vlmloom.pipelines.weights.shards import read_json

ENDS = ("bos_token_id", "eos_token_id")


def strange_ids(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """A line where a checkpoint's tokenizer knows other ids than its config.json and generation_config.json.

    Args:
        folder: of the checkpoint; one without a tokenizer.json has no such line.
        config: its config.json.
    """
    if not (folder / ENGINE).is_file():
        return
    try:
        engine = HF(folder=str(folder)).engine
    except ValueError as fault:
        yield f"its tokenizer cannot be read: {fault}"
        return
    strange: list[str] = []
    generation = read_json(folder / GENERATION) if (folder / GENERATION).is_file() else {}
    for name, part in ((CONFIG, config), (CONFIG, config.get("text_config")), (GENERATION, generation)):
        for place, stated in part.items() if isinstance(part, dict) else ():
            known = engine.token_to_id(TOKENS.get(place, ""))
            for one in stated if isinstance(stated, list) else [stated]:
                if place in TOKENS and one is not None and one != known:
                    is_there = "is missing" if known is None else f"is {known}"
                    strange.append(f"{name}: {place} {one}, but {TOKENS[place]} {is_there}")
                elif place in ENDS and type(one) is int and engine.id_to_token(one) is None:
                    strange.append(f"{name}: {place} {one}, which is missing")
    if strange:
        yield f"ids that are not those of its tokenizer: {'; '.join(dict.fromkeys(strange))}"
