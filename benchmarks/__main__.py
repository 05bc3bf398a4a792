"""`python -m benchmarks [--only training|decoding] [--repeats N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=("training", "decoding"), help="run one benchmark alone")
    parser.add_argument("--repeats", type=int, default=7, help="timed turns of each side (default 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there as well")
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats: found {options.repeats}; at least 1 would be right")
    return options


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    here = found["machine"]
    console.print(
        f"{here['processor']}, {here['cores']} cores ({' '.join(here['flags'])}), {here['threads']} threads, "
        f"torch {here['torch']}, transformers {here['transformers']}"
    )
    table = Table("benchmark", "side", "experts, precision", "median", "real tokens/s", "ratio")

    def rows(title: str, part: dict[str, Any]) -> None:
        for side, name in (("ours", "VLMLoom"), ("theirs", "glm4v_moe")):
            spent = sorted(part["seconds"][side])
            table.add_row(
                title if side == "ours" else "",
                name,
                part["best"][side],
                f"{spent[len(spent) // 2]:.3f} s",
                f"{part['tokens_per_second'][side]:.0f}",
                f"{part['ratio']:.2f}" if side == "ours" else "1",
            )

    if training := found.get("training"):
        rows("training step", training)
    for part in found.get("decoding", []):
        rows(f"greedy decoding, batch {part['batch']}", part)
    console.print(table)
    if training:
        tokens, losses, text = training["tokens"], training["losses"], training["text_losses"]
        sizes = {side: count / 1e6 for side, count in training["parameters"].items()}
        console.print(
            f"Training: {tokens['real']} real tokens; the peer computes {tokens['padded']}, "
            f"{tokens['padding']:.0%} of them padding.\n"
            f"Ratio by real tokens {training['ratio']:.2f}; with the peer's padding counted as work "
            f"{training['ratio_padding_counted']:.2f}.\n"
            f"Parameters: {sizes['ours']:.1f} M and {sizes['theirs']:.1f} M. Language weights are equal: the "
            f"first loss on the text alone is {text['ours']:.5f} and {text['theirs']:.5f}.\n"
            "Vision weights cannot be equal: CogViT norms queries and keys, the peer's tower norms its "
            "patches and adds learned positions. Widths and depths are equal; the first loss with pictures "
            f"is {losses['ours']:.5f} and {losses['theirs']:.5f}."
        )
    for part in found.get("decoding", []):
        console.print(
            f"Decoding, batch {part['batch']}: {part['equal_tokens']:.0%} of {part['new_tokens']} tokens are "
            "equal up to the first difference, both sides in fp32 with equal weights."
        )
    if len(here["precisions"]) == 1:
        console.print("This CPU has no bf16 instructions, so both sides run in fp32.")
    console.print("The peer's experts and each side's precision were chosen by trial (seconds):")
    named = [("training", training)] if training else []
    named += [(f"decoding {part['batch']}", part) for part in found.get("decoding", [])]
    for name, part in named:
        for side in ("ours", "theirs"):
            trials = "; ".join(f"{key} {value:.2f}" for key, value in part["trials"][side].items())
            console.print(f"  {name}, {side}: {trials}", style="dim")


def main() -> None:
    options = arguments()
    try:
        import transformers
    except ImportError:
        sys.exit("benchmarks: transformers is not installed; `pip install 'vlmloom[hf]'` would be right")
    from benchmarks import decoding, training
    from benchmarks.models import Shape
    from benchmarks.timing import machine

    transformers.logging.set_verbosity_error()
    found: dict[str, Any] = {"machine": machine() | {"transformers": transformers.__version__}}
    shape = Shape()
    if options.only != "decoding":
        found["training"] = training.run(shape, options.repeats)
    if options.only != "training":
        found["decoding"] = [decoding.run(shape, options.repeats, batch) for batch in (1, 8)]
    show(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
