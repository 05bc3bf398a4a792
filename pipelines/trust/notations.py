"""Labelled positions, molecules and puzzles."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator

from vlmloom.components.reward.parsed import NUMBER
from vlmloom.components.reward.puzzle import BOARD
from vlmloom.components.task.reasoning.grid_puzzle import KINDS
from vlmloom.components.task.reasoning.text_puzzle import TextLogic, TextMaths
from vlmloom.pipelines.trust.attacks import DIGITS
from vlmloom.pipelines.trust.labelled import Labelled


def position(dice: random.Random) -> Iterator[Labelled]:
    """`reward/fen`."""
    cases = [
        "8/8/8/4k3/8/8/4P3/4K3",
        "r1bqkbnr/pppp1ppp/2n5/4p3/4P3/5N2/PPPP1PPP/RNBQKB1R",
        "8/5k2/3p4/1p1Pp2p/pP2Pp1P/P4P1K/8/8",
        "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR",
        "2r3k1/5pp1/p6p/8/8/1P3P2/P5PP/2R3K1",
    ]
    for whole in (True, False):
        for gold in cases:
            ranks = gold.split("/")
            chain = ["/".join(["8"] * n + ranks[n:]) for n in range(9)]
            yield Labelled(
                {"use": "reward/fen", "whole": whole},
                gold,
                right=(
                    f"{gold} w - - 0 1",
                    f"{gold} b KQkq e3 12 40",
                    f" {gold}\n",
                    f"`{gold}`",
                    f"{gold} w",
                ),
                wrong=(
                    "8/8/8/8/8/8/8/8",
                    "/".join(["qqqqqqqq"] * 8),
                    gold.swapcase(),
                    "/".join(ranks[:7]),
                    f"{gold}/8",
                    gold.replace("8", "9", 1) if "8" in gold else gold.replace("k", "x"),
                    "no pieces",
                ),
                attacks={"wide rank": "/".join(["99999999"] * 8), "every piece": "/".join(["KQRBNPkq"] * 8)},
                fair=DIGITS,
                worse=tuple(chain),
            )


def molecule(dice: random.Random) -> Iterator[Labelled]:
    """`reward/smiles`."""
    cases = {
        "CCO": (["OCC", "C(O)C", "[CH3][CH2][OH]"], ["CO", "CCN", "CCCO", "C.C.O"]),
        "c1ccccc1": (["C1=CC=CC=C1", "c1ccccc1"], ["C1CCCCC1", "c1ccncc1"]),
        "CC(=O)O": (["OC(C)=O", "O=C(O)C"], ["CC(=O)C", "CCO", "CC(=O)[O-]"]),
        "CC(=O)Oc1ccccc1C(=O)O": (
            ["O=C(C)Oc1ccccc1C(O)=O", "OC(=O)c1ccccc1OC(C)=O"],
            ["CC(=O)Oc1ccccc1", "c1ccccc1C(=O)O"],
        ),
        "C[C@H](N)C(=O)O": (["N[C@@H](C)C(=O)O", "OC(=O)[C@H](C)N"], ["C[C@@H](N)C(=O)O", "CC(N)C(=O)O"]),
        "CN1C=NC2=C1C(=O)N(C(=O)N2C)C": (["Cn1c(=O)c2c(ncn2C)n(C)c1=O"], ["CN1C=NC2=C1C(=O)NC(=O)N2C"]),
        "CC=CC(N)=O": (["C/C=C/C(N)=O", "C/C=C\\C(=O)N"], ["CC=CC(=O)O", "CCCC(N)=O"]),
        "CC(N)C=CC": (["C/C=C/C(C)N"], ["C[C@H](N)C=CC", "C[C@@H](N)/C=C/C"]),
        "C/C=C/C": (["C\\C=C\\C"], ["C/C=C\\C", "CC=CC", "CCCC"]),
    }
    for gold, (right, wrong) in cases.items():
        yield Labelled(
            {"use": "reward/smiles"},
            gold,
            right=(*right, f" {gold} ", f"`{gold}`", f"SMILES: {gold}", f"The SMILES is `{gold}`."),
            wrong=(*wrong, "ethanol", f"{gold}.O", "C", "*", f"{gold} or C", "not" + gold),
            attacks={
                "mixture": ".".join(cases),
                "open rings": "C1CC" * 200,
                "long": "C" * 5_000,
                "brackets": "C(" * 300 + ")" * 300,
                "wildcards": "*~*",
                "query": "[#6]~[#6]",
            },
            fair=DIGITS | {"turned writing"},  # a chain read from its other end
            worse=(gold, wrong[0], ""),
        )


SAYINGS = ("{} is wrong", "not {}", "{} not", "{} es falso", "{} falsch", "{} 错", "no: {}", "{} or 5")
"""What is said against each line of a right answer."""


def _boards(gold: str) -> tuple[str, ...]:
    """A board with its cells set out otherwise; none where the answer is no board."""
    if not BOARD.fullmatch(gold):
        return ()
    rows = gold.split("\n")
    return (
        *(gold.replace(" ", gap) for gap in ("  ", "\t", ", ")),
        "\n\n".join(rows),
        "\n".join(f"| {row.replace(' ', ' | ')} |" for row in rows),
    )


def puzzle(dice: random.Random) -> Iterator[Labelled]:
    """`reward/puzzle`, over scorers that compare, that evaluate and that follow rules."""
    import reasoning_gym

    names = {*TextMaths.trained, *TextMaths.shifted, *TextLogic.trained, *TextLogic.shifted}
    names |= {*KINDS, "countdown", "number_sorting", "spiral_matrix", "polynomial_multiplication"}
    names |= {"word_sorting", "game_of_life_halting"}
    for name in sorted(names | {"string_insertion"}):
        for index in range(2):
            entry = json.loads(
                json.dumps(reasoning_gym.create_dataset(name, size=3, seed=5)[index], default=str)
            )
            gold = entry["metadata"].get("expression") if name == "countdown" else entry["answer"]
            marked = set(str(gold)) & set("$*") or str(gold).endswith(".")
            yield Labelled(
                {"use": "reward/puzzle", "seconds": 1.0},
                str(gold),
                {"dataset": name, "entry": entry},
                right=(
                    f"{gold} ",
                    f"\n{gold}",
                    *(() if marked else (f"{gold}.", f"**{gold}**", f"${gold}$")),
                    *((str(gold).upper(), str(gold).lower()) if str(gold).isalpha() else ()),
                    *_boards(str(gold)),
                    *((f"There are {gold}.", f"{gold}.0") if str(gold).isdigit() else ()),
                    *(
                        rf"\frac{{{below[1]}}}{{{below[2]}}}"
                        for below in [
                            re.fullmatch(r"\$?\\?[dt]?(?:frac)?\{?(\d+)\}?[/{](\d+)\}?\$?", str(gold))
                        ]
                        if below
                    ),
                ),
                wrong=(
                    *("0123", "I do not know", "x", "()", f"{str(gold)[:-1]}~0", f"{gold}?", f"maybe {gold}"),
                    *(("True, 1", "-True", "True True", "True/2") if str(gold) == "True" else ()),
                    *((f"{gold} impossible", f"-1 = {gold}", f"not = {gold}") if str(gold).isdigit() else ()),
                    *((f"\u2212{gold}", f"{gold}+", f'{gold}"') if str(gold).isdigit() else ()),
                    *((str(gold).replace("1", "-1", 1),) if _boards(str(gold)) and "1" in str(gold) else ()),
                    *(("0", f"-{gold}") if NUMBER.fullmatch(str(gold)) and float(gold) else ()),
                    *("\n".join(said.format(line) for line in str(gold).split("\n")) for said in SAYINGS),
                ),
                attacks={
                    "file": "open('/tmp/trust', 'w')",
                    "attribute": "().__class__.__base__",
                    "lambda": "(lambda: 42)()",
                    "tower of sums": "+".join(["9**9**9"] * 3),
                    "type": "type('x', (), {})()",
                },
                fair=DIGITS,
                attacked=index == 0,
                worse=(str(gold), "~"),
            )
