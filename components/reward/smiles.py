"""Molecules."""

from __future__ import annotations

from functools import lru_cache

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.parsed import Unreadable, folded, shown, unwrapped
from vlmloom.registry import register
from vlmloom.registry.errors import UserError


@register("reward/smiles")
class Smiles(Verifier):
    """Full marks for the same molecule, however its SMILES is written: canonical forms of rdkit are compared.

    Where the gold answer marks no side of a double bond, an answer may: a drawing puts the neighbours on some
    side even where the compound leaves it open. Handedness is drawn by wedges; where there are none, it is
    wrong.

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
            text = unwrapped(folded(response))
        except Unreadable as error:
            return Reward(0.0, reason=str(error))
        if not text.isascii() or text.split() != [text]:
            return Reward(0.0, reason=f"no SMILES: {shown(response)}")
        if text == gold:
            return Reward(1.0, reason=f"{gold}, letter by letter")
        worker, sides = bounded(self.seconds), "/" in gold or "\\" in gold
        if not (right := worker.ask(canonical, gold, self.stereo, sides)):
            raise ValueError(f"the gold answer {gold!r} is no SMILES")
        try:
            found = worker.ask(canonical, text, self.stereo, sides)
        except Overran as error:
            return Reward(0.0, reason=f"{shown(text)}: {error}")
        if not found:
            return Reward(0.0, reason=f"no molecule: {shown(text)}")
        return Reward(float(found == right), reason=f"answered {shown(found)}, right is {shown(right)}")


@lru_cache(4096)
def canonical(smiles: str, stereo: bool, sides: bool) -> str:
    """The canonical SMILES, with handedness and sides or without, empty where there is no molecule.

    Called in the bounded process.
    """
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return ""
    if not sides:
        for bond in molecule.GetBonds():
            bond.SetStereo(Chem.BondStereo.STEREONONE)
            bond.SetBondDir(Chem.BondDir.NONE)
    return Chem.MolToSmiles(molecule, isomericSmiles=stereo)
