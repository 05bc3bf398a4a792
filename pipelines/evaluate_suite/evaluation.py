"""One evaluation: targets, a suite, a split, and a folder where answers and the report lie."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlmloom import __version__
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.evaluate_suite.ask import Questions, ask
from vlmloom.pipelines.evaluate_suite.page import examples, render
from vlmloom.pipelines.evaluate_suite.record import Item, Kept
from vlmloom.pipelines.evaluate_suite.report import Price, document
from vlmloom.pipelines.evaluate_suite.target import Target
from vlmloom.pipelines.evaluate_suite.targets import file_name
from vlmloom.pipelines.files import open_folder, write_text
from vlmloom.pipelines.report.document import dump
from vlmloom.pipelines.scoring.limited import Limits
from vlmloom.registry.build import saved
from vlmloom.registry.compose import Composed
from vlmloom.registry.errors import UserError


@dataclass
class Evaluation:
    """What is asked, and where its answers lie.

    Attributes:
        name: of the suite.
        suite: prepared.
        composed: what it was built from.
        split: of it.
        items: of each category.
        out: the folder.
        price: of tokens.
        against: the target that others are compared with.
        limits: the time that judging an answer may take.
    """

    name: str
    suite: Suite
    composed: Composed
    split: str
    items: int
    out: Path
    price: Price | None = None
    against: str | None = None
    limits: Limits = field(default_factory=Limits)
    found: dict[str, list[Item]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.suite.splits().get(self.split):
            known = ", ".join(split for split, names in self.suite.splits().items() if names)
            raise UserError(
                f"evaluate: suite {self.name} has no {self.split} split here; one of {known} would be right"
            )
        open_folder(self.out)

    def ask(self, name: str, target: Target, tick: Callable[[int, int, int], None] | None = None) -> None:
        """Ask a target what it has not answered yet."""
        key = {
            "target": target.key,
            "suite": hashlib.blake2b(saved(self.composed).encode(), digest_size=10).hexdigest(),
            "split": self.split,
            "version": __version__,
        }
        kept = Kept(self.out / f"answers-{file_name(name)}-{self.split}.jsonl", key)
        questions = Questions(self.suite, self.split, self.items, limits=self.limits)
        self.found[name] = ask(target, questions, kept, tick)

    def _unscripted(self) -> dict[str, dict[str, int]]:
        """Target -> category -> episodes that it was not asked, since nobody has written them a script."""
        found = {}
        for name, items in self.found.items():
            there = Counter(item.category for item in items)
            missing = {one: self.items - there[one] for one in self.suite.splits()[self.split]}
            found[name] = {category: count for category, count in missing.items() if count}
        return {name: missing for name, missing in found.items() if missing}

    def report(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write `report.json` and `report.html`, and hand back what the first holds."""
        left_out = {
            name.removeprefix("task/"): lacks
            for name, lacks in self.suite.availability().items()
            if name.startswith("task/")
        }
        names = self.suite.splits()[self.split]
        told = {
            "name": self.name,
            "answers": self.composed.root.plain().get("answers", "plain"),
            "items": self.items,
            "categories": len(names),
            "left_out": left_out,
            "unscripted": self._unscripted(),
        }
        made = document(
            self.found,
            self.suite,
            split=self.split,
            against=self.against,
            price=self.price,
            facts=facts | {"suite": told},
        )
        write_text(self.out / "report.json", dump(made))
        write_text(self.out / "report.html", render(made, examples(self.suite, self.found)))
        return made
