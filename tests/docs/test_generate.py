"""The generated pages of the site: what they say is what the registry and the sources say."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vlmloom.registry.catalog import catalog

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_component_stands_on_its_kinds_page(generate: ModuleType) -> None:
    pages = generate.pages()
    assert sorted(pages) == catalog().kinds()
    for entry in catalog().list():
        if not entry.module.startswith("vlmloom."):  # of a plug-in that another test has read
            continue
        text = pages[entry.kind]
        assert f"\n## {entry.name}\n" in text
        assert entry.summary in text
        assert entry.qualname in text


def test_a_page_has_contract_signature_and_paper(generate: ModuleType) -> None:
    text = generate.pages()["vision"]
    assert "## The contract: `Vision`" in text
    assert "def token_grids(self, grids: Sequence[Grid]) -> list[Grid]" in text
    assert "| `depth` | `int` | required |" in text
    assert "[arXiv 2604.26752](https://arxiv.org/abs/2604.26752)" in text


def test_every_import_line_works_as_printed(generate: ModuleType) -> None:
    for entry in catalog().list():
        line = ast.parse(generate.importable(entry)).body[0]
        assert isinstance(line, ast.ImportFrom)
        assert importlib.util.find_spec(str(line.module)) is not None, line.module


def test_docstring_sections_become_lists(generate: ModuleType) -> None:
    text = (
        "One line.\n\n    x = 1\n\nArgs:\n    width: of the\n        tokens.\n\nReference: arXiv 2002.05202."
    )
    assert generate.prose(text) == (
        "One line.\n\n```text\n    x = 1\n```\n\n**Args**\n\n- `width`: of the tokens.\n\n"
        "**Reference**: [arXiv 2002.05202](https://arxiv.org/abs/2002.05202)."
    )
