"""Photographs and handwritten digits that come inside scikit-image and scikit-learn."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sources import PhotoSource, SourceMissing
from vlmloom.components.source.cache import Tick, prepared
from vlmloom.registry import register

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle_left", "ihc", "brick", "grass", "gravel")


@register("source/photos")
class Photos(PhotoSource):
    """Real photographs (scikit-image, scikit-learn) and 1,797 handwritten digits (scikit-learn).

    Args:
        side: the shorter side of a photograph in pixels, once prepared.

    Reference: `skimage.data`, `sklearn.datasets`
    """

    package = "PyPI scikit-image, scikit-learn"
    licence = "public domain and CC0 (skimage/data/README.txt), CC-BY (china, flower), BSD (digits)"

    def __init__(self, *, side: int = 160) -> None:
        if side < 32:
            raise ValueError(f"source/photos: side is {side}, but photographs are at least 32 pixels wide")
        self.side = side
        self._photos: dict[str, np.ndarray] | None = None
        self._digits: tuple[np.ndarray, np.ndarray] | None = None

    def available(self) -> str | None:
        """None where both packages are installed."""
        packages = (("skimage", "scikit-image"), ("sklearn", "scikit-learn"))
        missing = [package for module, package in packages if util.find_spec(module) is None]
        return f"source/photos: pip install {' '.join(missing)}" if missing else None

    def prepare(self) -> None:
        """Shrink the photographs once."""
        self.load()

    def load(self) -> dict[str, np.ndarray]:
        """Name -> uint8 `[H, W, 3]` with the shorter side at `side`."""
        if self._photos is None:
            self._photos = dict(np.load(self._folder() / "photos.npz"))
        return self._photos

    def digits(self) -> tuple[np.ndarray, np.ndarray]:
        """Handwritten digits: uint8 `[1797, 8, 8]` and their values `[1797]`."""
        if self._digits is None:
            with np.load(self._folder() / "digits.npz") as data:
                self._digits = (data["pixels"], data["values"])
        return self._digits

    def _folder(self) -> Path:
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
        settings = {
            "format": 1,
            "side": self.side,
            "versions": [metadata.version("scikit-image"), metadata.version("scikit-learn")],
        }
        return prepared("source-photos", settings, self._make)

    def _make(self, folder: Path, tick: Tick) -> None:
        from sklearn.datasets import load_digits

        photos = {}
        found = _originals()
        for number, (name, pixels) in enumerate(found.items()):
            tick(number + 1, len(found))
            picture = Image.fromarray(pixels).convert("RGB")
            scale = self.side / min(picture.size)
            size = (round(picture.width * scale), round(picture.height * scale))
            photos[name] = np.asarray(picture.resize(size, Image.Resampling.LANCZOS))
        data = load_digits()
        pixels = np.minimum(data.images * 16, 255).astype(np.uint8)
        with (folder / "photos.npz").open("wb") as file:
            np.savez(file, allow_pickle=False, **photos)
        with (folder / "digits.npz").open("wb") as file:
            np.savez(file, pixels=pixels, values=data.target.astype(np.int64))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_photos": None, "_digits": None}


def _originals() -> dict[str, np.ndarray]:
    """The photographs that are inside the packages; none is fetched."""
    import skimage
    import sklearn

    found = {}
    for folder, names in (
        (Path(skimage.__file__).parent / "data", PHOTOS),
        (Path(sklearn.__file__).parent / "datasets" / "images", ("china", "flower")),
    ):
        for name in names:
            for path in sorted(folder.glob(f"{name}.*")):
                if path.suffix in {".png", ".jpg", ".jpeg"}:
                    with Image.open(path) as picture:
                        found[name] = np.asarray(picture.convert("RGB"))
                    break
    return found
