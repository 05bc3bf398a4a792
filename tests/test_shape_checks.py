"""The tests run with the annotated shapes checked; this is the proof that they are."""

import tomllib
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from vlmloom.components.ffn import SwiGLU


def test_every_folder_with_tensors_is_checked() -> None:
    root = Path(__file__).parents[1]
    options = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    checked = next(option for option in options if option.startswith("--jaxtyping-packages=")).partition("=")[
        2
    ]
    for folder in (root / "components").iterdir():
        annotated = any("from jaxtyping" in path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
        assert not annotated or f"vlmloom.components.{folder.name}" in checked.split(","), folder


def test_a_wrong_number_of_axes_is_refused() -> None:
    block = SwiGLU(width=4, hidden=8)
    block(torch.randn(3, 4), [3])
    with pytest.raises(TypeCheckError, match="tokens width"):
        block(torch.randn(2, 3, 4), [6])
