"""QR codes by segno, barcodes by zxing-cpp."""

from __future__ import annotations

from importlib import util

import numpy as np

from vlmloom.components.contracts.sources import CodeSource, SourceMissing
from vlmloom.registry import register

TALL = 50
"""Rows of modules of a barcode of one dimension."""


@register("source/codes")
class Codes(CodeSource):
    """QR codes and Code 128; Data Matrix, Aztec and Code 93 for the shift split.

    Reference: https://github.com/heuer/segno, https://github.com/zxing-cpp/zxing-cpp
    """

    package = "PyPI segno, zxing-cpp"
    licence = "BSD-3-Clause (segno), Apache-2.0 (zxing-cpp)"
    formats = ("QRCode", "Code128")
    shifted = ("DataMatrix", "Aztec", "Code93")

    def available(self) -> str | None:
        """None where both are installed."""
        if util.find_spec("segno") and util.find_spec("zxingcpp"):
            return None
        return "source/codes: pip install segno zxing-cpp (extra: tasks)"

    def prepare(self) -> None:
        """Nothing: codes are made when they are asked for."""

    def encode(self, form: str, text: str) -> np.ndarray:
        """See `CodeSource.encode`.

        Raises:
            SourceMissing: a package is not installed.
            ValueError: there is no such format here, or it cannot hold the text.
        """
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
        if form not in (*self.formats, *self.shifted):
            known = ", ".join((*self.formats, *self.shifted))
            raise ValueError(f"source/codes: {form!r} is no format here; {known} are")
        if form == "QRCode":
            import segno

            dark = np.array(segno.make_qr(text, error="m").matrix, np.uint8)
            return np.pad(255 * (1 - dark), 4, constant_values=255)
        import zxingcpp

        code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, form))
        modules = np.asarray(code.to_image(scale=1))
        # One row of a linear code tells all of it.
        if form in ("Code128", "Code93"):
            modules = np.repeat(modules[modules.shape[0] // 2][None], TALL, axis=0)
            return np.pad(modules, ((4, 4), (10, 10)), constant_values=255)
        return np.pad(modules, 4, constant_values=255)
