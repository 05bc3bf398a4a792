"""The catalogue: names without imports, duplicates with both places, plug-ins."""

import importlib.metadata
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmloom.registry.catalog import Catalog, catalog, scan_file
from vlmloom.registry.errors import UserError
from vlmloom.registry.register import DuplicateName, register, registered

Write = Callable[[str, str], Path]

PART = '''
from vlmloom.registry import register

@register("projector/mine")
class Mine:
    """My own.

    More.
    """
'''


def test_listing_imports_no_torch_and_takes_less_than_a_second() -> None:
    code = (
        "import sys, time; start = time.process_time()\n"
        "from vlmloom.pipelines.cli import main\n"
        "assert main(['ls', '--json']) == 0\n"
        "heavy = {'torch', 'lightning', 'numpy', 'omegaconf', 'jsonargparse'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(time.process_time() - start, file=sys.stderr)\n"
    )
    took = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        took.append(float(done.stderr))
        if took[-1] < 1:
            break
        time.sleep(1)
    assert min(took) < 1, took
    listed = json.loads(done.stdout)
    assert {tuple(entry) for entry in listed} == {("name", "kind", "family", "summary", "class_path")}
    assert "projector/mlp" in {entry["name"] for entry in listed}


def test_every_entry_has_a_summary_and_leads_to_its_class() -> None:
    for entry in catalog().list():
        assert entry.summary, f"{entry.place}: {entry.name} has no docstring"
        assert entry.name.count("/") == 1
    assert catalog().resolve("attention/sdpa").registered_name == "attention/sdpa"  # type: ignore[attr-defined]


def test_two_classes_of_one_name_are_refused_with_both_places(write: Write) -> None:
    found = Catalog()
    found.add(scan_file(write("one.py", PART), "one"))
    with pytest.raises(DuplicateName, match=r"projector/mine is registered twice: one\.py:5 and two\.py:5"):
        found.add(scan_file(write("two.py", PART), "two"))


def test_two_classes_of_one_name_are_refused_when_they_are_imported() -> None:
    register("tower/of_this_test")(type("One", (), {}))
    with pytest.raises(DuplicateName, match=r"tower/of_this_test is registered twice: .*\.One and .*\.Two"):
        register("tower/of_this_test")(type("Two", (), {}))
    assert "tower/of_this_test" in registered()


def test_a_plugin_is_a_file_a_module_or_a_package(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("mine.py", PART)
    (tmp_path / "lab").mkdir()
    write("lab/__init__.py", "raise RuntimeError('imported')")
    write("lab/parts.py", PART)
    monkeypatch.syspath_prepend(str(tmp_path))
    for plugin, class_path in (("mine", "mine.Mine"), ("lab", "lab.parts.Mine")):
        found = Catalog()
        found.add_plugin(plugin)
        found.add_plugin(plugin)
        assert [entry.class_path for entry in found.list()] == [class_path]
    found = Catalog()
    found.add_plugin("mine.py", tmp_path)
    mine = found.resolve("projector/mine")
    assert mine.__name__ == "Mine"
    assert found.resolve("projector/mine") is mine, "imported once"


def test_installed_plugins_are_found_by_their_entry_point(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write("an_installed_one.py", PART)
    monkeypatch.syspath_prepend(str(tmp_path))
    point = importlib.metadata.EntryPoint("mine", "an_installed_one", "vlmloom.components")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    catalog.cache_clear()
    assert catalog().entries["projector/mine"].class_path == "an_installed_one.Mine"
    assert "an_installed_one" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NAME = 'a/b'\n@register(NAME)\nclass A: ...\n", r"mine\.py:2: @register needs a literal name"),
        ("register(\n", r"mine\.py:1: cannot be read as Python"),
    ],
)
def test_a_plugin_that_cannot_be_read_says_where(write: Write, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Catalog().add_plugin(str(write("mine.py", text)))


def test_a_component_whose_module_breaks_says_so(write: Write) -> None:
    write("broken.py", PART.replace("mine", "broken") + "\nimport no_such_module_at_all\n")
    found = Catalog()
    found.add_plugin("broken.py")
    with pytest.raises(UserError, match=r"projector/broken cannot be imported \(broken\.py:5\): Module"):
        found.resolve("projector/broken")


def test_lists_are_chosen_by_kind_name_and_wildcard() -> None:
    assert {entry.kind for entry in catalog().list("projector")} == {"projector"}
    assert [entry.name for entry in catalog().list("projector/mlp")] == ["projector/mlp"]
    assert {entry.kind for entry in catalog().list("*/*mtp")} == {"head"}
    with pytest.raises(UserError, match=r"no kind is called 'projektor'; did you mean .*projector"):
        catalog().list("projektor")


def test_bases_are_followed_by_name_without_imports() -> None:
    names = [entry.name for entry in catalog().deriving_from("FFN")]
    assert "ffn/swiglu" in names and "moe/sigmoid_bias" in names and "projector/mlp" not in names


@pytest.mark.parametrize("text", ["", "import math\n", "class Mine:\n    pass\n"])
def test_a_plugin_that_registers_nothing_says_so(write: Write, text: str) -> None:
    with pytest.raises(UserError, match=r'registers nothing; a class .* with @register\("kind/name"\)'):
        Catalog().add_plugin(str(write("mine.py", text)))


def test_a_plugin_without_the_word_register_is_parsed_all_the_same(write: Write) -> None:
    with pytest.raises(UserError, match=r"mine\.py:1: cannot be read as Python: invalid syntax"):
        Catalog().add_plugin(str(write("mine.py", "def (:\n")))


def test_a_plugin_that_leaves_the_process_does_not(write: Write) -> None:
    found = Catalog()
    found.add_plugin(
        str(write("leaves.py", 'import sys\nsys.exit(0)\n@register("tower/x")\nclass X:\n    """X."""\n'))
    )
    with pytest.raises(UserError, match=r"tower/x cannot be imported \(.*leaves\.py:4\): SystemExit: 0"):
        found.resolve("tower/x")
