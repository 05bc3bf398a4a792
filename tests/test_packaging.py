"""The frame of the project: packaging, the words it must not contain, and how fast the command starts."""

import ast
import os
import re
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

import vlmloom

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("assemblies", "components", "configs", "pipelines", "registry")
PROVIDERS = packages_distributions()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_bare_import_from_the_root_is_refused(package: str) -> None:
    result = run(sys.executable, "-c", f"import {package}")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"ImportError: import this package as vlmloom.{package}"


def test_the_packages_are_relative_links() -> None:
    for package in PACKAGES:
        link = ROOT / ".namespace" / "vlmloom" / package
        assert os.readlink(link) == f"../../{package}"
        assert link.resolve() == ROOT / package


def test_the_installed_version_is_the_declared_one() -> None:
    assert version("vlmloom") == vlmloom.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{vlmloom.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_dependencies_have_lower_bounds_and_no_pins() -> None:
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        if not requirement.startswith("vlmloom["):
            assert re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z0-9_,]+\])?>=[0-9.]+", requirement), requirement


def test_megablocks_is_an_extra_of_its_own() -> None:
    extras = PROJECT["optional-dependencies"]
    assert any(line.startswith("megablocks") for line in extras["megablocks"])
    others = [line for name, lines in extras.items() if name != "megablocks" for line in lines]
    assert not [line for line in [*PROJECT["dependencies"], *others] if "megablocks" in line]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[>=<! ]", name)[0]).lower()


def imported(folder: str) -> set[str]:
    """Top-level names that a folder's files import anywhere, lazily too."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    own = {"vlmloom"} if folder in PACKAGES else {"vlmloom", "benchmarks"}
    if folder == "tests":
        own |= {path.stem for path in (ROOT / "tests" / "support").glob("*.py")}
    return names - set(sys.stdlib_module_names) - own


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks"])
def test_every_import_is_a_declared_dependency(folder: str) -> None:
    extras = PROJECT["optional-dependencies"]
    declared = {canonical(line) for line in PROJECT["dependencies"]}
    declared |= {canonical(line) for lines in extras.values() for line in lines}
    for name in sorted(imported(folder)):
        # What is not installed here can only be an optional part, which is imported by its own name.
        offered = {canonical(provider) for provider in PROVIDERS.get(name, [name])}
        assert offered & declared, f"{folder} imports {name}, which no dependency in pyproject.toml provides"


def test_the_registry_imports_without_torch() -> None:
    code = (
        "import importlib, pkgutil, sys, vlmloom.registry as registry\n"
        "for module in pkgutil.walk_packages(registry.__path__, 'vlmloom.registry.'):\n"
        "    importlib.import_module(module.name)\n"
        "print([name for name in ('torch', 'lightning') if name in sys.modules])"
    )
    result = run(sys.executable, "-c", code)
    assert result.stdout == "[]\n", result.stdout + result.stderr


def test_help_starts_fast_and_without_torch() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run(sys.executable, "-X", "importtime", "-m", "vlmloom", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stderr[-500:]
    assert result.stdout.lower().startswith("usage")
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "argparse" in imported
    assert not {"torch", "lightning"} & imported
    # Processor time and not the clock: other tests run beside this one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_no_file_names_a_host_a_machine_or_a_secret() -> None:
    result = run("bash", ".ci/words")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://py" + "pi.org/simple",
        "see /wo" + "rk/main/x.py",
        "-----BEGIN PRIVATE KE" + "Y-----",
    ],
)
def test_the_words_check_finds_what_it_looks_for(line: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(f"fine\n{line}\n")
    run("git", "init", "-q", cwd=tmp_path)
    run("git", "add", "notes.md", cwd=tmp_path)
    result = run("bash", str(ROOT / ".ci" / "words"), str(tmp_path))
    assert result.returncode == 1
    assert result.stdout.startswith("notes.md:2:")


def test_make_says_which_python_it_needs(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "pyproject.toml").touch()
    result = run("make", "test", f"PYTHON={old}", cwd=tmp_path)
    assert result.returncode == 2
    expected = "vlmloom needs Python 3.11 or newer, found Python 3.8.1; try: make PYTHON=/path/to/python3.11"
    assert result.stderr.splitlines()[0] == expected
    assert not (tmp_path / ".venv").exists()
