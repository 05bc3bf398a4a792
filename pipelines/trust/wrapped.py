"""Labelled answers for the verifiers that hold others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from vlmloom.pipelines.trust.attacks import HELD
from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.pipelines.trust.numbers import number

FORM = "<think>{thought}</think>{gap}<answer>{before}<|begin_of_box|>{answer}<|end_of_box|>{after}</answer>"


def form(answer: str, thought: str = "", gap: str = "", before: str = "", after: str = "") -> str:
    """An answer in the published format."""
    return FORM.format(answer=answer, thought=thought, gap=gap, before=before, after=after)


def boxed(dice: random.Random) -> Iterator[Labelled]:
    """`reward/boxed` round a number."""
    for inner in number(dice):
        gold = inner.answer
        two = form("0").replace("</answer>", f"<|begin_of_box|>{gold}<|end_of_box|></answer>")
        yield replace(
            inner,
            verifier={"use": "reward/boxed", "verifier": inner.verifier},
            answer=form(gold),
            wrapped=False,
            right=(
                *tuple(form(one) for one in inner.right),
                form(gold, "I see\nso much", "\n"),
                form(gold, before="It is ", after="."),
                form(f" {gold} "),
            ),
            wrong=(*tuple(form(one) for one in inner.wrong), gold, form(""), f"<answer>{gold}</answer>"),
            attacks={
                "bare": gold,
                "two boxes": two,
                "box in the thoughts": form("0", f"<|begin_of_box|>{gold}<|end_of_box|>"),
                "right in the thoughts": form("0", gold),
                "right beside the box": form("0", before=f"{gold} ", after=f" {gold}"),
                "LaTeX box": form(gold, f"\\boxed{{{gold}}}"),
                "box in the box": form(f"<|begin_of_box|>{gold}<|end_of_box|>"),
                "second answer": form("0") + form(gold),
                "answer in the thoughts": f"<think><answer>{form(gold)}</answer></think>",
                "no thoughts": form(gold).partition("</think>")[2],
                "unclosed": form(gold).removesuffix("</answer>"),
                "behind the answer": form(gold) + " or 0",
                "thoughts in thoughts": form(gold, "<think></think>"),
                "turned round": form(gold)
                .replace("begin", "B")
                .replace("end_of", "begin_of")
                .replace("B_of", "end_of"),
                "megabyte in the box": form(gold + " " * 1_000_001),
            },
            worse=(*tuple(form(one) for one in inner.worse), ""),
        )


def combined(dice: random.Random) -> Iterator[Labelled]:
    """`reward/all`, `mean`, `product` and `first` of words and letters."""
    for word in ("green garden", "river", "old lantern", "tractor"):
        for name in ("all", "mean", "product", "first"):
            for upper in ("exact", "edit"):
                parts = {"words": {"use": "reward/exact"}, "letters": {"use": f"reward/{upper}"}}
                yield Labelled(
                    {"use": f"reward/{name}", "parts": parts},
                    word,
                    wrapped=False,
                    right=(word, f" {word} "),
                    wrong=("zzz", "", "xylophone quiz"),
                    partial=HELD | {"twice", "look-alikes", "turned writing"},
                    worse=(word, word[:-1], word[: len(word) // 2], ""),
                )
