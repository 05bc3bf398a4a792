"""What a run prints: one table of ratios, and what each part has to say."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timing import median


def show(found: Mapping[str, Any], parts: Mapping[str, ModuleType]) -> None:
    """Print the table and the notes of every part that ran."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    here = found["machine"]
    console.print(
        f"{here['processor']}, {here['cores']} cores ({' '.join(here['flags'])}), {here['threads']} threads, "
        f"torch {here['torch']}, transformers {here['transformers']}"
    )
    if len(here["precisions"]) == 1:
        console.print("This CPU has no bf16 instructions, so both sides run in fp32.")
    ran = {name: found[name] for name in parts if name in found}
    contests = [contest for part in ran.values() for contest in part.get("contests", ())]
    if contests:
        console.print(_table(contests))
    for name, part in ran.items():
        for note in parts[name].notes(part):
            console.print(f"{name}: {note}", highlight=False)
    tried = [contest for contest in contests if any(contest["trials"].values())]
    if tried:
        console.print("What was chosen by trial (seconds):")
    for contest in tried:
        for side, name in (("ours", "VLMLoom"), ("theirs", contest["peer"])):
            if trials := contest["trials"][side]:
                line = "; ".join(f"{key} {value:.3f}" for key, value in trials.items())
                console.print(f"  {contest['title']}, {name}: {line}", style="dim", highlight=False)
    console.print(f"{found['seconds']:.0f} s in all.")


def _table(contests: list[dict[str, Any]]) -> Table:
    table = Table("benchmark", "side", "way, precision", "median", "real per second", "ratio", "goal")
    for contest in contests:
        digits = 0 if contest["unit"] == "tokens" else 1
        met = "met" if contest["ratio"] >= contest["goal"] else "missed"
        for side, name in (("ours", "VLMLoom"), ("theirs", contest["peer"])):
            first = side == "ours"
            table.add_row(
                contest["title"] if first else "",
                name,
                contest["best"][side],
                f"{median(contest['seconds'][side]):.3f} s",
                f"{contest['per_second'][side]:.{digits}f} {contest['unit']}",
                f"{contest['ratio']:.2f}" if first else "1",
                f"{contest['goal']:g}, {met}" if first else "",
            )
    return table
