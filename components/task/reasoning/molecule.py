"""Which molecule is it?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sources import MoleculeSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

SIZES = ((260, 220), (300, 240), (320, 280))


@register("task/molecule")
class Molecule(ContentTask):
    """Write the structural formula of a real compound down as SMILES.

    The shift split is drawn in one colour, with thicker bonds.

    Args:
        world: what is shared by the tasks of a suite.
        molecules: the compounds; None is `source/nci`.
        atoms: the most heavy atoms of one, from 4.
    """

    name = "molecule"
    family = "reasoning"
    knob = "atoms"

    def __init__(self, *, world: World, molecules: MoleculeSource | None = None, atoms: int = 24) -> None:
        super().__init__(world=world)
        if atoms < 4:
            raise ValueError(f"task/molecule: atoms is {atoms}; 4 or more would be right")
        self.molecules: MoleculeSource = by_name(molecules, "source/nci")
        self.atoms = atoms

    def sources(self) -> Sequence[Source]:
        """The compounds."""
        return (self.molecules,)

    def judge(self) -> dict[str, Any]:
        """By the molecule, however it is written."""
        return {"use": "reward/smiles"}

    @cached_property
    def _all(self) -> list[str]:
        return [smiles for smiles in self.molecules.load() if _heavy(smiles) <= self.atoms]

    def compose(self, draw: Draw, split: str) -> Item:
        """A compound, turned anyhow."""
        smiles = draw.choice(self._all)
        width, height = draw.choice(SIZES)
        plain = split == "shift"
        picture = Rendered(paint, width, height, smiles, draw.below(12) * 30, plain, slow="rdkit")
        return Item("Write this molecule as SMILES.", smiles, (), (picture,), source="nci", content=smiles)


def _heavy(smiles: str) -> int:
    """Heavy atoms of a SMILES, none of which is charged or an isotope.

    >>> _heavy("CC(=O)Nc1ccc(Cl)cc1")
    11
    """
    return sum(letter.isalpha() and letter not in "lrHi" for letter in smiles)


def paint(width: int, height: int, smiles: str, turn: int, plain: bool) -> np.ndarray:
    """A structural formula, uint8 `[height, width, 3]`."""
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    molecule = Chem.MolFromSmiles(smiles)
    rdDepictor.Compute2DCoords(molecule)
    canvas = rdMolDraw2D.MolDraw2DCairo(width, height)
    options: Any = canvas.drawOptions()
    options.rotate = turn
    if plain:
        options.useBWAtomPalette()
        options.bondLineWidth = 3
    rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule)
    canvas.FinishDrawing()
    return np.asarray(Image.open(BytesIO(canvas.GetDrawingText())).convert("RGB"))
