"""Fonts: what matplotlib brings along, and on request what the system has."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

from vlmloom.components.contracts.sources import FontSource, SourceMissing
from vlmloom.registry import register

TRAIN = ("DejaVuSans-Bold", "DejaVuSansMono-Bold", "DejaVuSerif-Bold")
SHIFTED = ("STIXGeneralBol", "cmb10")
PAGES = tuple(
    f"DejaVu{family}{slant}"
    for family, slants in {
        "Sans": ("", "-Bold", "-Oblique"),
        "SansMono": ("", "-Bold"),
        "Serif": ("", "-Bold", "-Italic"),
    }.items()
    for slant in slants
)
PAGES_SHIFTED = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmtt10")
SYSTEM = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("/Library/Fonts"))


@register("source/fonts")
class Fonts(FontSource):
    """matplotlib's DejaVu fonts, its STIX and Computer Modern for the shift split.

    Args:
        system: add the system's bold TrueType fonts to the training fonts; scenes then depend on the machine.

    Reference: matplotlib/mpl-data/fonts
    """

    package = "PyPI matplotlib"
    licence = "Bitstream Vera and public domain (DejaVu), OFL (STIX), BaKoMa (Computer Modern)"
    needs = "source/fonts: pip install matplotlib"
    trained: tuple[str, ...] = TRAIN
    others: tuple[str, ...] = SHIFTED

    def __init__(self, *, system: bool = False) -> None:
        self.system = system

    def available(self) -> str | None:
        """None where matplotlib is installed."""
        return None if util.find_spec("matplotlib") else self.needs

    def prepare(self) -> None:
        """Nothing: fonts are read where they lie."""

    def version(self) -> str:
        """Of the package that they come from."""
        return metadata.version("matplotlib")

    def load(self) -> dict[str, Path]:
        """Name -> file of the fonts that are trained on."""
        found = self._bundled(self.trained)
        if self.system:
            for folder in SYSTEM:
                for path in sorted(folder.rglob("*Bold.ttf")) if folder.is_dir() else ():
                    found.setdefault(path.stem, path)
        return found

    def shifted(self) -> dict[str, Path]:
        """Name -> file of fonts in other styles."""
        return self._bundled(self.others)

    def _bundled(self, names: tuple[str, ...]) -> dict[str, Path]:
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
        spec = util.find_spec("matplotlib")
        assert spec is not None and spec.origin is not None
        folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
        return {name: folder / f"{name}.ttf" for name in names if (folder / f"{name}.ttf").is_file()}


@register("source/page_fonts")
class PageFonts(Fonts):
    """Fonts for pages: DejaVu upright, bold and slanted; STIX and a typewriter face for the shift split.

    Args:
        system: see `Fonts`.

    Reference: matplotlib/mpl-data/fonts
    """

    needs = "source/page_fonts: pip install matplotlib"
    trained = PAGES
    others = PAGES_SHIFTED
