"""Boards, chess, molecules, formulas, pages and words: what is seen tells the answer."""

import json

import numpy as np
import pytest

from vlmloom.components.task.documents.formula import Formula
from vlmloom.components.task.documents.page_markdown import PageMarkdown
from vlmloom.components.task.reasoning.chess_fen import ChessFEN
from vlmloom.components.task.reasoning.grid_puzzle import KINDS, GridPuzzle
from vlmloom.components.task.reasoning.molecule import Molecule, _heavy
from vlmloom.components.task.reasoning.text_puzzle import TextLogic, TextMaths
from vlmloom.components.task.suite import Nano


@pytest.fixture(scope="module")
def world():
    return Nano(shift=[]).world


@pytest.mark.parametrize("kind", KINDS)
def test_a_board_shows_what_the_puzzle_has(world, kind):
    task = GridPuzzle(world=world, kinds=[kind])
    for index in range(12):
        sample = task.plan("train", index)
        assert sample.truth["dataset"] == kind and sample.prompt[-1] == KINDS[kind].rules
        assert json.loads(json.dumps(sample.truth)) == sample.truth
        marks = sample.pictures[0].what[2]
        rows = KINDS[kind].rows(sample.truth["entry"]["metadata"])
        signs = [sign for row in rows for sign in row if sign]
        drawn = sum(mark[0] in ("circle", "box") for mark in marks) + sum(mark[0] == "text" for mark in marks)
        beside = sum(len(sample.truth["entry"]["metadata"][key]) for key in KINDS[kind].sums or ())
        assert drawn == len(signs) + beside


def test_unknown_kinds_of_boards_are_told(world):
    with pytest.raises(
        ValueError, match="task/grid_puzzle: 'chess' is none of the kinds mini_sudoku, rotten"
    ):
        GridPuzzle(world=world, kinds=["chess"])


@pytest.mark.parametrize("split", ["train", "shift"])
def test_pieces_stand_where_the_position_says(world, split):
    task = ChessFEN(world=world)
    for index in range(6):
        sample = task.plan(split, index)
        picture = sample.pictures[0]
        frame, square = picture.render()[0].astype(int), picture.width // 8
        for y, row in enumerate(sample.answer.split("/")):
            signs = "".join(" " * int(sign) if sign.isdigit() else sign for sign in row)
            for x, sign in enumerate(signs):
                cell = frame[y * square + 3 : (y + 1) * square - 3, x * square + 3 : (x + 1) * square - 3]
                assert (cell.std(axis=(0, 1)).max() > 10) == (sign != " ")


def test_molecules_are_drawn_within_their_picture(world):
    from rdkit import Chem

    task = Molecule(world=world, atoms=12)
    for index in range(10):
        sample = task.plan("shift" if index % 2 else "train", index)
        ink = sample.pictures[0].render()[0].min(axis=2) < 200
        assert ink.any() and not ink[0].any() and not ink[-1].any() and not ink[:, [0, -1]].any()
        molecule = Chem.MolFromSmiles(sample.answer)
        assert molecule.GetNumAtoms() == _heavy(sample.answer) <= 12
        again = Chem.MolToSmiles(molecule, canonical=False, rootedAtAtom=molecule.GetNumAtoms() - 1)
        assert task.check(sample, again).value == 1


@pytest.mark.parametrize("split", ["train", "shift"])
def test_formulas_lie_whole_within_their_picture(world, split):
    task = Formula(world=world, terms=4)
    for index in range(12):
        ink = task.plan(split, index).pictures[0].render()[0, ..., 0] < 160
        ys, xs = np.nonzero(ink)
        assert ys.min() >= 4 and xs.min() >= 6 and ys.max() < ink.shape[0] - 4 and xs.max() < ink.shape[1] - 6
        assert ink.any(axis=1).sum() >= 8


def test_a_page_says_every_word_of_its_markdown(world):
    task = PageMarkdown(world=world)
    for index in range(10):
        sample = task.plan("train", index)
        written = " ".join(thing.text for thing in sample.scene.things).split()
        said = [word for word in sample.answer.replace("|", " ").split() if set(word) - set("#-")]
        numbered = [word for word in written if word not in ("\N{BULLET}",)]
        assert numbered == said


@pytest.mark.parametrize("task", [TextMaths, TextLogic])
def test_words_of_all_generators_and_others_in_the_shift(world, task):
    easy = task(world=world, level=0)
    assert {easy.plan("train", i).truth["dataset"] for i in range(80)} == set(task.trained)
    assert {easy.plan("shift", i).truth["dataset"] for i in range(40)} == set(task.shifted)
    assert not easy.visual
