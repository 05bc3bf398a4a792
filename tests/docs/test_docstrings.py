"""The worked examples of docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import vlmloom

ROOT = Path(__file__).parents[2]
FOLDERS = ("assemblies", "components", "pipelines", "registry")
MODULES = sorted(
    ".".join((vlmloom.__name__, *path.relative_to(ROOT).with_suffix("").parts))
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0
