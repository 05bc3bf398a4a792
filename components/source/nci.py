"""Molecules of the National Cancer Institute's open collection, as rdkit brings them along."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

from vlmloom.components.contracts.sources import MoleculeSource, SourceMissing
from vlmloom.components.source.cache import Tick, prepared
from vlmloom.registry import register


@register("source/nci")
class NCI(MoleculeSource):
    """The first 5,000 structures of the NCI set: real compounds, small ones mostly.

    Args:
        atoms: molecules of more heavy atoms are left out.

    Reference: rdkit, Data/NCI/first_5K.smi
    """

    package = "PyPI rdkit (Data/NCI/first_5K.smi)"
    licence = "BSD-3-Clause (rdkit); the NCI open database is in the public domain"

    def __init__(self, *, atoms: int = 24) -> None:
        if atoms < 4:
            raise ValueError(f"source/nci: atoms is {atoms}; 4 or more would be right")
        self.atoms = atoms
        self._molecules: list[str] | None = None

    def available(self) -> str | None:
        """None where rdkit is installed."""
        return None if util.find_spec("rdkit") else "source/nci: pip install rdkit (extra: tasks)"

    def prepare(self) -> None:
        """Read and write every SMILES once."""
        self.load()

    def load(self) -> list[str]:
        """Molecules in one piece, of 4 to `atoms` atoms, without charges, isotopes or stereochemistry.

        Raises:
            SourceMissing: rdkit is not installed.
        """
        if self._molecules is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            settings = {"format": 1, "atoms": self.atoms, "version": metadata.version("rdkit")}
            folder = prepared("source-nci", settings, self._make)
            self._molecules = (folder / "molecules.smi").read_text(encoding="utf-8").split()
        return self._molecules

    def _make(self, folder: Path, tick: Tick) -> None:
        from rdkit import Chem, RDConfig, RDLogger

        RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
        lines = (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").read_text(encoding="utf-8").splitlines()
        found: dict[str, None] = {}
        for number, line in enumerate(lines):
            tick(number + 1, len(lines))
            molecule = Chem.MolFromSmiles(line.split()[0]) if line.strip() else None
            if molecule is None or not 4 <= molecule.GetNumAtoms() <= self.atoms:
                continue
            smiles = Chem.MolToSmiles(molecule)
            if not set(smiles) & set(".+@/\\*:") and "-]" not in smiles:
                found[smiles] = None
        (folder / "molecules.smi").write_text("\n".join(found), encoding="utf-8")

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_molecules": None}
