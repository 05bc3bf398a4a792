"""The worked examples of docstrings give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import vlmloom
from vlmloom.pipelines import trunk
from vlmloom.pipelines.cli import main
from vlmloom.registry import catalog, resolve

ROOT = Path(__file__).parents[2]
FOLDERS = ("assemblies", "components", "pipelines", "registry")
MODULES = sorted(
    ".".join((vlmloom.__name__, *path.relative_to(ROOT).with_suffix("").parts))
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)

BORROWED = ("alignment", "distance", "objective", "standard", "teacher", "trunk")
"""Kinds whose every component has a worked example."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.failed == 0


@pytest.mark.parametrize("name", [entry.name for entry in catalog().list() if entry.kind in BORROWED])
def test_what_is_borrowed_has_an_example(name):
    assert "\n    >>> " in (resolve(name).__doc__ or "")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Where `runs/native` is."""
    folder = tmp_path_factory.mktemp("examples")
    few = ["--set", "budget.flops=null", "--set", "budget.samples=20", "--trainer.enable_progress_bar=false"]
    assert main(["fit", "-c", "nano/native", *few, "--out", str(folder / "runs" / "native")]) == 0
    return folder


@pytest.mark.parametrize("name", ["RunTrunk", "RunTeacher", "RunLanguage"])
def test_examples_of_a_run(name, run, monkeypatch):
    """What is skipped elsewhere gives what it says where the run is there."""
    monkeypatch.chdir(run)
    text = getattr(trunk, name).__doc__.replace("  # doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(text, vars(trunk).copy(), name, None, 0)
    found = doctest.DocTestRunner().run(example)
    assert found.attempted and not found.failed
