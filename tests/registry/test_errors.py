"""Every mistake that a YAML can hold: one line each, with its place, what was found and what would be right.

Run with `-s` to read them all.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from vlmloom.pipelines.cli import main

Write = Callable[[str, str | bytes], Path]


class Case(NamedTuple):
    name: str
    text: str | bytes
    lines: list[str]


def override(text: str) -> str:
    return f"extends: sound.yaml\n{text}"


# ruff: noqa: E501 (a message stands on one line)
CASES = [
    Case(
        "unknown key at the top",
        override("twoer: {use: tower/plain}"),
        ["bad.yaml:2: twoer: model/pair has no such key; did you mean tower?"],
    ),
    Case(
        "unknown key at depth",
        override("set:\n  decoder.layers.1:3.ffn.hiden: 5"),
        [
            "bad.yaml:3: decoder.layers.1.ffn.hiden: block/dense has no such key; did you mean hidden?"
            " (and in 1 more of its layers)"
        ],
    ),
    Case(
        "unknown component",
        override("swap:\n  tower: {use: tower/plian, width: 8}"),
        ["bad.yaml:3: tower.use: 'tower/plian' is no component; did you mean tower/plain?"],
    ),
    Case(
        "unknown kind",
        override("swap: {tower: {use: towr/plain}}"),
        [
            "bad.yaml:2: tower.use: 'towr/plain' is no component: no kind is called 'towr'; did you mean tower?"
        ],
    ),
    Case(
        "a component without its kind",
        override("swap: {tower: {use: plain}}"),
        ["bad.yaml:2: tower.use: 'plain' is no component; did you mean tower/plain?"],
    ),
    Case(
        "wrong kind",
        override("swap:\n  tower: {use: bridge/linear, in_width: 2, out_width: 2}"),
        ["bad.yaml:3: tower: found bridge/linear, which is of kind bridge; needs tower/plain"],
    ),
    Case(
        "wrong kind in a template",
        override("swap: {decoder.layers.0.ffn: {use: tower/plain}}"),
        [
            "bad.yaml:2: decoder.layers.0.ffn: found tower/plain, which is of kind tower; "
            "needs block/dense, block/wrapped"
        ],
    ),
    Case(
        "a name in place of a component",
        override("set: {bridge: bridge/linear}"),
        ["bad.yaml:2: bridge: found 'bridge/linear'; needs {use: bridge/linear}"],
    ),
    Case(
        "a component without a name",
        "use: model/pair\nplugins: [PLUGIN]\ntower: {width: 8}\nbridge: 3\ndecoder: null\n",
        [
            "bad.yaml:3: tower: names no component; add `use:`, one of tower/plain",
            "bad.yaml:4: bridge: found 3; needs a component, bridge/linear",
            "bad.yaml:5: decoder: found null; needs a component, decoder/stack",
        ],
    ),
    Case(
        "wrong types",
        override(
            "set:\n  tower.width: wide\n  tower.bias: 1\n  tower.heads: 2.0\n  tower.norm: middle\n"
            "  bridge.gain: [1]\n  tower.mean: [0, 0, 0]\n  tower.sizes: [1, x]\n  decoder.width: null"
        ),
        [
            "bad.yaml:3: tower.width: found 'wide'; needs int",
            "bad.yaml:4: tower.bias: found 1; needs bool",
            "bad.yaml:5: tower.heads: found 2.0; needs int",
            "bad.yaml:6: tower.norm: found 'middle'; needs 'pre' or 'post'",
            "bad.yaml:7: bridge.gain: found a list of 1; needs float",
            "bad.yaml:8: tower.mean: found a list of 3; needs list of 2",
            "bad.yaml:9: tower.sizes.1: found 'x'; needs int",
            "bad.yaml:10: decoder.width: found null; needs int",
        ],
    ),
    Case(
        "text in quotes is no number",
        override('set: {tower.width: "8", bridge.gain: "0.5", tower.bias: "true", tower.sizes: "[1, 2]"}'),
        [
            "bad.yaml:2: bridge.gain: found '0.5'; needs float",
            "bad.yaml:2: tower.bias: found 'true'; needs bool",
            "bad.yaml:2: tower.sizes: found '[1, 2]'; needs list of int",
            "bad.yaml:2: tower.width: found '8'; needs int",
        ],
    ),
    Case(
        "keys that select no layers",
        override("decoder:\n  layers:\n    'x:y': {ffn: {hidden: 5}}\n    '0:2': {ffn: {hidden: 5}}"),
        [
            "bad.yaml:4: decoder.layers.x:y: 'x:y' selects no layers; a slice as in Python, a number or * would be right"
        ],
    ),
    Case(
        "missing values",
        'plugins: [PLUGIN]\nuse: model/pair\ntower: {use: tower/plain}\nbridge: {use: bridge/linear, out_width: "???"}\n',
        [
            "bad.yaml:2: decoder: model/pair needs a value for this key: component of class Decoder",
            "bad.yaml:3: tower.width: tower/plain needs a value for this key: int",
            "bad.yaml:4: bridge.out_width: is left at ???; needs int",
        ],
    ),
    Case(
        "a value that only the owner knows",
        override("set: {bridge.in_width: 3}"),
        [
            "bad.yaml:2: bridge.in_width: bridge/linear: in_width is 3 here, but 8 where it is used; leave it out"
        ],
    ),
    Case(
        "a value that the kind forbids",
        override("set:\n  tower.heads: 3"),
        [
            "bad.yaml:3: tower.heads: tower/plain: width 8 does not divide into 3 heads; heads: 2 would be right"
        ],
    ),
    Case(
        "forbidden values in several parts",
        override("set: {tower.heads: 3, decoder.layers.2.ffn.hidden: 0}"),
        [
            "bad.yaml:2: decoder.layers.2.ffn.hidden: block/dense: hidden is 0; at least 1 would be right",
            "bad.yaml:2: tower.heads: tower/plain: width 8 does not divide into 3 heads; heads: 2 would be right",
        ],
    ),
    Case(
        "neighbours of other shapes",
        override("set: {bridge.out_width: 7}"),
        ["sound.yaml:4: bridge: bridge gives width 7, but the decoder takes width 6"],
    ),
    Case(
        "references to nothing, to themselves, and broken ones",
        override(
            "set:\n  tower.width: ${decoder.widht}\n  decoder.width: ${bridge.out_width}\n"
            "  bridge.out_width: ${decoder.width}\n  tower.heads: ${tower.\n  twoer: 1"
        ),
        [
            "bad.yaml:3: tower.width: found '${decoder.widht}', which cannot be resolved: "
            "there is no decoder.widht; did you mean decoder.width or ...?",
            "bad.yaml:4: decoder.width: found '${bridge.out_width}', which cannot be resolved: "
            "it leads back to itself",
            "bad.yaml:5: bridge.out_width: found '${decoder.width}', which cannot be resolved: "
            "it leads back to itself",
            "bad.yaml:6: tower.heads: found '${tower.', which cannot be resolved: ...",
            "bad.yaml:7: twoer: model/pair has no such key; did you mean tower?",
        ],
    ),
    Case(
        "extends nothing",
        "extends: natvie\n",
        ["bad.yaml:1: extends: nothing is called 'natvie'; did you mean native...? (a path ends in .yaml)"],
    ),
    Case(
        "extends a file that is not there",
        "extends: gone.yaml\n",
        ["bad.yaml:1: extends: there is no file gone.yaml"],
    ),
    Case("extends a list", "extends: [a, b]\n", ["bad.yaml:1: extends: found a list; ..."]),
    Case(
        "a cycle",
        "extends: other.yaml\n",
        ["other.yaml:1: extends: a cycle: bad.yaml -> other.yaml -> bad.yaml"],
    ),
    Case(
        "use in set",
        override("set:\n  tower.use: tower/plain\n  bridge: {use: bridge/linear}"),
        [
            "bad.yaml:3: set.tower.use: `set` gives values to leaves; "
            "to change the component write swap: {tower: {use: ...}}",
            "bad.yaml:4: set.bridge: `set` gives values to leaves; "
            "to change the component write swap: {bridge: {use: ...}}",
        ],
    ),
    Case(
        "swap without a name",
        override("swap: {tower: {width: 4}}"),
        ["bad.yaml:2: swap.tower: `swap` replaces a component and needs its name: {use: kind/name, ...}"],
    ),
    Case(
        "set through a leaf",
        override("set: {tower.width.x: 4}"),
        ["bad.yaml:2: set.tower.width.x: tower.width is 8, which holds no key 'x'"],
    ),
    Case(
        "slices out of the depth",
        override("set:\n  decoder.layers.3:6.ffn.hidden: 5\n  decoder.layers.9.ffn.hidden: 5"),
        [
            "bad.yaml:3: decoder.layers.3:6: the slice 3:6 reaches beyond the depth; the layers are 0 to 3",
            "bad.yaml:4: decoder.layers.9: there is no layer 9; the layers are 0 to 3",
        ],
    ),
    Case(
        "a slice of what does not repeat",
        override("set: {tower.0:2.width: 5}"),
        ["bad.yaml:2: set.tower.0:2.width: tower does not repeat over depth, so '0:2' selects nothing in it"],
    ),
    Case(
        "layers that nobody describes",
        override(
            "decoder:\n  use: decoder/stack\n  width: 6\n  depth: 4\n  layers: {'0:2': {ffn: {use: block/dense}}}"
        ),
        ["bad.yaml:6: decoder.layers: layer 2 of 4 is given no value; a key '*' gives one to all"],
    ),
    Case(
        "a depth that is no number",
        override("set: {decoder.depth: deep}"),
        [
            "bad.yaml:2: decoder.depth: found 'deep'; a whole number from 1 to 10000 is needed, "
            "since layers repeats over it",
            "bad.yaml:2: decoder.depth: found 'deep'; needs int",
        ],
    ),
    Case(
        "no component at the top",
        "tower: {use: tower/plain}\n",
        ["bad.yaml:1: the top names no component; ..."],
    ),
    Case(
        "a class path that is no component",
        "use: model/pair\nplugins: [PLUGIN]\ntower: {class_path: os.system, init_args: {command: touch ran}}\n"
        "bridge: {class_path: subprocess.Popen, init_args: {args: touch ran}}\ndecoder: {class_path: nowhere.At}\n",
        [
            "bad.yaml:3: tower.class_path: os.system is no class; a class path is module.Class",
            "bad.yaml:4: bridge: found subprocess.Popen, which is of kind Popen; needs bridge/linear",
            "bad.yaml:5: decoder.class_path: nowhere.At cannot be imported: ModuleNotFoundError: "
            "No module named 'nowhere'",
        ],
    ),
    Case(
        "lists where a name or a mapping belongs",
        override("tower: {use: [tower]}\nbridge: {class_path: torch.nn.Linear, init_args: [1]}"),
        [
            "bad.yaml:2: tower.use: found a list; needs a name such as projector/mlp",
            "bad.yaml:3: bridge.init_args: found a list; needs a mapping",
        ],
    ),
    Case(
        "a set that is a list, a number beyond reading",
        override(f"set: [tower.width]\ntower: {{width: {'9' * 5000}}}"),
        ["bad.yaml:3: tower.width: found '999999...', which is no int that can be read"],
    ),
    Case(
        "plug-ins that are not there",
        "plugins: [gone.py, no_such_module_at_all]\nuse: attention/sdpa\n",
        [
            "bad.yaml:1: plugins: plugin ...gone.py: there is no file gone.py",
            "bad.yaml:1: plugins: plugin no_such_module_at_all: no module of this name is installed; ...",
        ],
    ),
    Case(
        "a plug-in that is no file",
        "plugins: [sys]\nuse: attention/sdpa\n",
        ["bad.yaml:1: plugins: plugin sys: registers nothing; ..."],
    ),
    Case("broken YAML", "use: model/pair\ntower: {use: [\n", ["bad.yaml:3: not valid YAML: ..."]),
    Case("a tab", "use: model/pair\n\ttower: 3\n", ["bad.yaml:2: not valid YAML: ..."]),
    Case(
        "not UTF-8",
        b"use: model/pair\nname: caf\xe9\n",
        ["bad.yaml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"],
    ),
    Case("binary", b"\x00\x01\x02", ["bad.yaml: holds a NUL byte; this is no YAML text"]),
    Case(
        "ten megabytes",
        b"a: 1\n" * 2_000_000,
        ["bad.yaml: 10,000,000 bytes; a configuration of at most 1,000,000 bytes is read"],
    ),
    Case(
        "tags that would run code",
        "use: !!python/object/apply:os.system ['touch ran']\nx: !env HOME\n",
        [
            "bad.yaml:1: use: tag tag:yaml.org,2002:python/object/apply:os.system is refused: "
            "a configuration is plain data, it runs nothing",
            "bad.yaml:2: x: tag !env is refused: a configuration is plain data, it runs nothing",
        ],
    ),
    Case(
        "a key twice",
        "use: model/pair\ntower: {width: 1, width: 2}\nuse: model/pair\n",
        [
            "bad.yaml:2: tower.width: this key stands twice in one mapping, first on line 2",
            "bad.yaml:3: use: this key stands twice in one mapping, first on line 1",
        ],
    ),
    Case("empty", "# nothing\n", ["bad.yaml:1: the file is empty; a mapping of keys is needed"]),
    Case("a list at the top", "- 1\n", ["bad.yaml:1: found a list; the top of a file is a mapping of keys"]),
    Case(
        "aliases that multiply",
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
        ),
        ["bad.yaml:...: ...: more than 200,000 values once aliases are followed"],
    ),
    Case(
        "an alias to itself",
        "a: &a [*a]\n",
        ["bad.yaml:1: ...: nested deeper than 64 levels, or an alias to itself"],
    ),
    Case("nested deeply", "a: " + "[" * 5000, ["bad.yaml...nested deeper than 64 levels"]),
    Case(
        "a merge key",
        "base: &b {x: 1}\nuse:\n  <<: *b\n",
        ["bad.yaml:3: use.<<: merge keys are refused; ..."],
    ),
]


def matches(line: str, pattern: str) -> bool:
    """Whether a line is the pattern, in which `...` stands for anything."""
    at = 0
    pieces = pattern.split("...")
    for piece in pieces:
        found = line.find(piece, at)
        if found < 0 or (piece is pieces[0] and found != 0):
            return False
        at = found + len(piece)
    return at == len(line) or pieces[-1] == ""


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_mistake_is_told_in_one_line(
    case: Case, write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    toys = str(Path(__file__).with_name("toys.py"))
    write("other.yaml", "extends: bad.yaml\n")
    write("bad.yaml", case.text.replace("PLUGIN", toys) if isinstance(case.text, str) else case.text)
    status = main(["validate", "bad.yaml"])
    lines = capsys.readouterr().err.splitlines()
    with capsys.disabled():
        print(f"\n# {case.name}", *lines, sep="\n")
    assert status == 2
    assert len(lines) == len(case.lines), lines
    for line, pattern in zip(lines, case.lines, strict=True):
        assert matches(line, pattern), f"{line!r} is not {pattern!r}"
    assert not (tmp_path / "ran").exists(), "the configuration ran a command"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--set", "tower.width=wide"], "--set tower.width=wide: tower.width: found 'wide'; needs int"),
        (["--set", "tower.width"], "--set tower.width: write --set key=value, e.g. --set language.width=128"),
        (
            ["--set", "tower..width=3"],
            "--set tower..width=3: a path is words with single dots between them, ...",
        ),
        (
            ["--set", "tower.use=tower/plain"],
            "--set tower.use=tower/plain: `set` gives values to leaves; ...",
        ),
        (["--set", "tower.mean=[1"], "--set tower.mean=[1: not valid YAML: ..."),
        (
            ["--swap", "tower=tower/palin,width=8"],
            "...tower.use: 'tower/palin' is no component; did you mean tower/plain?",
        ),
        (["--swap", "tower"], "--swap tower: write --swap part=kind/name,key=value"),
        (
            ["--swap", "tower=tower/plain,8"],
            "--swap tower=tower/plain,8: after the name come key=value, found '8'",
        ),
        (
            ["--swap", "tower={width: 3}"],
            "--swap tower={width: 3}: `swap` replaces a component and needs its name: ...",
        ),
    ],
)
def test_the_command_line_is_told_what_is_wrong_with_it(
    arguments: list[str], line: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "sound.yaml", *arguments]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1, told
    assert matches(told[0], line), told[0]


def test_errors_of_all_files_are_told_and_sound_ones_pass(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("one.yaml", override("set: {tower.width: x}"))
    write("two.yaml", override("set: {tower.heads: y}"))
    assert main(["validate", "one.yaml", "sound.yaml", "two.yaml", "none.yaml", "."]) == 2
    out, err = capsys.readouterr()
    assert out == "sound.yaml: ok\n"
    assert [line.partition(":")[0] for line in err.splitlines()[:3]] == ["one.yaml", "two.yaml", "none.yaml"]
    assert "there is no such file" in err
    assert "nothing is called '.'" in err


def test_a_pipe_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert main(["validate", str(tmp_path / "pipe.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("pipe.yaml: this is a pipe or a device; a YAML file is needed")


def test_a_component_that_lacks_what_its_contract_asks_for(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        "half.py",
        "from vlmloom.components.contracts.projector import Projector\n"
        "from vlmloom.registry import register\n\n"
        "@register('projector/half')\n"
        "class Half(Projector):\n"
        "    'A projector of one method.'\n\n"
        "    def forward(self, features):\n"
        "        return features, {}\n",
    )
    write("half.yaml", "plugins: [half.py]\nextends: native\nswap: {projector: {use: projector/half}}\n")
    assert main(["validate", "half.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    told = "projector/half lacks flops, merged_grids, which its contract asks for"
    assert line == f"half.yaml:3: projector: {told}"
