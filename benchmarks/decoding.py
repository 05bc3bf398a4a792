"""Greedy decoding after ragged prompts, each side with its own cache, as it is and compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for
from benchmarks.timing import PRECISIONS, contests, precision
from vlmloom.assemblies.native.native import Native

Answer = Callable[[], list[list[int]]]
GOALS = {"fp32": 2.0, "best": 2.0}


def ours_answers(
    model: Native, shape: Shape, ragged: Ragged, cast: str, new: int, compiled: bool = False
) -> Answer:
    """Our side; id -1 stops, so every answer has `new` tokens."""
    batch = pack(ragged, shape, model)
    model = (copy.deepcopy(model).bfloat16() if cast == "bf16" else model).eval()

    def answer() -> list[list[int]]:
        with precision(cast, autocast=False):
            return model.generate(batch, stop=-1, limit=new, compiled=compiled)

    return answer


def theirs_answers(
    model: Any, shape: Shape, ragged: Ragged, experts: str, cast: str, new: int, compiled: bool = False
) -> Answer:
    """Their side, padded on the left; compiled as `generate` does on a GPU, with a static cache."""
    from transformers import CompileConfig

    settings: dict[str, Any] = {}
    if compiled:
        compile_config = CompileConfig(fullgraph=False, dynamic=True)
        compile_config._compile_all_devices = True
        settings = {"cache_implementation": "static", "compile_config": compile_config}
    batch = pad(ragged, shape, model, left=True)
    model = (copy.deepcopy(model).bfloat16() if cast == "bf16" else model).eval()

    def answer() -> list[list[int]]:
        model.set_experts_implementation(experts)
        with precision(cast, autocast=False), torch.inference_mode():
            ids = model.generate(
                **batch, max_new_tokens=new, min_new_tokens=new, do_sample=False, use_cache=True, **settings
            )
        return ids[:, batch["input_ids"].shape[1] :].tolist()

    return answer


def agreement(ours: list[list[int]], theirs: list[list[int]]) -> float:
    """The share of tokens before the first difference; a greedy answer goes its own way after it."""
    equal = total = 0
    for one, other in zip(ours, theirs, strict=True):
        total += len(one)
        differing = [place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]
        equal += differing[0] if differing else len(one)
    return equal / total


def run(
    shape: Shape,
    repeats: int,
    batches: Sequence[int] = (1, 8),
    tokens: tuple[int, int] = (40, 300),
    new: int = 64,
    ways: Sequence[bool] = (False, True),
) -> dict[str, Any]:
    """Time both sides at each batch size, as they are and compiled (`ways`).

    Answers are compared in fp32, where weights are equal.
    """
    ours = build_ours(shape)
    theirs = build_theirs(shape, ours)
    found = []
    for batch in batches:
        prompt = tokens if batch > 1 else (sum(tokens) // 2,) * 2
        ragged = Ragged.draw(shape, batch, prompt)
        for compiled in ways:
            how = "compiled, " if compiled else ""
            # A program takes the peer minutes to compile: one precision, and no loop over experts.
            casts = ["fp32"] if compiled else PRECISIONS
            own_runs = {how + cast: ours_answers(ours, shape, ragged, cast, new, compiled) for cast in casts}
            peer_runs = {
                f"{experts}, {how}{cast}": theirs_answers(theirs, shape, ragged, experts, cast, new, compiled)
                for experts in experts_for(shape, ragged.tokens(shape)[1])
                if not (compiled and experts == "eager")
                for cast in casts
            }
            equal = agreement(own_runs[f"{how}fp32"](), peer_runs[f"grouped_mm, {how}fp32"]())
            title = f"greedy decoding, batch {batch}{', compiled' if compiled else ''}"
            about = {"batch": batch, "new_tokens": batch * new, "equal_tokens": equal}
            found += [
                about | contest
                for contest in contests(
                    title, own_runs, peer_runs, repeats=repeats, count=batch * new, goals=GOALS
                )
            ]
    return {"contests": found}


def notes(found: dict[str, Any]) -> list[str]:
    return [
        f"Batch {batch}: {equal:.0%} of {count} tokens are equal up to the first difference, both sides in "
        "fp32 with equal weights."
        for batch, equal, count in dict.fromkeys(
            (contest["batch"], contest["equal_tokens"], contest["new_tokens"])
            for contest in found["contests"]
        )
    ]
