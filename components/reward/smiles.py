"""Molecules."""

from __future__ import annotations

import re
from functools import lru_cache

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.parsed import Unreadable, folded, shown, unwrapped
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

NAMED = re.compile(r"^(?:the\s+)?(?:canonical\s+)?smiles(?:\s+(?:string|is))*\s*[:=]?\s+", re.I)
"""What may lead to it."""
MATCHES = 1000
"""Ways to lay one molecule on another that are tried."""


@register("reward/smiles")
class Smiles(Verifier):
    """Full marks for the same molecule, however its SMILES is written: canonical forms of rdkit are compared.

    Where the gold answer marks no sides of a double bond, an answer may, bond by bond: a drawing puts the
    neighbours on some side even where the compound leaves it open. Handedness is drawn by wedges; where there
    are none, it is wrong.

    Args:
        stereo: whether the handedness and the sides of double bonds count.
        seconds: CPU time for one answer.
        on_error: see `Verifier`.

    Raises:
        UserError: rdkit is not installed.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "CCO", Scene(""))
    >>> [reward.value for reward in Smiles().judge(sample, ["OCC", "C(O)C", "CO", "ethanol"])]
    [1.0, 1.0, 0.0, 0.0]
    """

    longest = 1000

    def __init__(self, *, stereo: bool = True, seconds: float = 3.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        try:
            import rdkit  # noqa: F401
        except ImportError:
            raise UserError("reward/smiles: rdkit is not installed; pip install 'vlmloom[tasks]'") from None
        self.stereo, self.seconds = stereo, seconds

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        gold = sample.answer.strip()
        try:
            text = unwrapped(NAMED.sub("", unwrapped(folded(response))))
        except Unreadable as error:
            return Reward(0.0, reason=str(error))
        if not text.isascii() or text.split() != [text]:
            return Reward(0.0, reason=f"no SMILES: {shown(response)}")
        if text == gold:
            return Reward(1.0, reason=f"{gold}, letter by letter")
        worker = bounded(self.seconds)
        if not (right := worker.ask(canonical, gold, self.stereo, gold)):
            raise ValueError(f"the gold answer {gold!r} is no SMILES")
        try:
            found = worker.ask(canonical, text, self.stereo, gold)
        except Overran as error:
            return Reward(0.0, reason=f"{shown(text)}: {error}")
        if not found:
            return Reward(0.0, reason=f"no molecule: {shown(text)}")
        return Reward(float(found == right), reason=f"answered {shown(found)}, right is {shown(right)}")


@lru_cache(4096)
def canonical(smiles: str, stereo: bool, gold: str) -> str:
    """The canonical SMILES, empty where there is no molecule; that of the gold answer where it is the same.

    Without `stereo`, no handedness and no sides; with it, none of double bonds whose sides the gold answer
    leaves open. Called in the bounded process.

    >>> canonical("C/C=C/C/C=C/CO", True, "C/C=C/CC=CCO") == canonical("C/C=C/CC=CCO", True, "C/C=C/CC=CCO")
    True
    """
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return ""
    written = str(Chem.MolToSmiles(molecule, isomericSmiles=stereo))
    right = Chem.MolFromSmiles(gold)
    if not stereo or right is None or right.GetNumAtoms() != molecule.GetNumAtoms():
        return written
    same, none = Chem.MolToSmiles(right), Chem.BondStereo.STEREONONE
    if written == same:
        return written
    ends = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for bond in right.GetBonds()
        if bond.GetBondType() == Chem.BondType.DOUBLE and bond.GetStereo() == none
    ]
    # Every way to lay the one on the other, since a symmetric molecule has several.
    for match in molecule.GetSubstructMatches(right, uniquify=False, maxMatches=MATCHES):
        opened = Chem.RWMol(molecule)
        for one, other in ends:
            opened.GetBondBetweenAtoms(match[one], match[other]).SetStereo(none)
        if Chem.MolToSmiles(opened) == same:
            return str(same)
    return written
