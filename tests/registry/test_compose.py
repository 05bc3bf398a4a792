"""Composition: extends, set, swap, references, depth, and the places that survive all of them."""
# ruff: noqa: E501 (YAML stands on one line)

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmloom.registry import build, check, compose, saved
from vlmloom.registry.build import _Dumper
from vlmloom.registry.depth import select
from vlmloom.registry.errors import ConfigError, UserError
from vlmloom.registry.marked import Node, parse

Write = Callable[[str, str], Path]


def at(root: Node, *path: str | int) -> Node:
    for key in path:
        root = root.value[key]
    return root


def test_own_keys_then_swap_then_set_then_the_command_line(write: Write) -> None:
    write("a.yaml", "extends: sound.yaml\ntower: {heads: 4}\nset: {tower.width: 16, bridge.gain: 2}\n")
    write(
        "b.yaml",
        "extends: a.yaml\nset: {tower.width: 24, bridge.gain: 3}\n"
        "swap: {bridge: {use: bridge/linear, out_width: 6}}\n",
    )
    plain = compose("b.yaml", sets=["tower.width=32"]).root.plain()
    assert plain["tower"] == {"use": "tower/plain", "width": 32, "heads": 4}
    assert plain["bridge"] == {"use": "bridge/linear", "out_width": 6, "gain": 3}, "swap first, then set"


def test_a_swap_inherits_nothing(write: Write) -> None:
    write(
        "a.yaml",
        "extends: sound.yaml\nswap: {tower: {use: tower/plain, width: 4}}\nset: {tower.bias: false}\n",
    )
    assert compose("a.yaml").root.plain()["tower"] == {"use": "tower/plain", "width": 4, "bias": False}
    swapped = compose("sound.yaml", swaps=["tower=tower/plain,width=4,mean=[1, 2],norm='post'"])
    assert swapped.root.plain()["tower"] == {"use": "tower/plain", "width": 4, "mean": [1, 2], "norm": "post"}
    swapped = compose("sound.yaml", swaps=["tower={use: tower/plain, width: 4}"])
    assert swapped.root.plain()["tower"] == {"use": "tower/plain", "width": 4}


def test_a_use_in_an_overlay_replaces_the_component(write: Write) -> None:
    write("a.yaml", "extends: sound.yaml\ntower: {use: tower/plain, width: 2}\n")
    assert compose("a.yaml").root.plain()["tower"] == {"use": "tower/plain", "width": 2}


def test_every_value_keeps_its_place(write: Write) -> None:
    write(
        "a.yaml",
        "extends: sound.yaml\n\nset:\n  tower.width: 16\nswap:\n  bridge: {use: bridge/linear,\n    out_width: 6}\n",
    )
    root = compose("a.yaml", sets=["tower.heads=2"]).root
    assert str(at(root, "decoder", "width").mark) == "sound.yaml:7"
    assert str(at(root, "tower", "width").mark) == "a.yaml:4"
    assert str(at(root, "bridge", "use").mark) == "a.yaml:6"
    assert str(at(root, "bridge", "out_width").mark) == "a.yaml:7"
    assert str(at(root, "tower", "heads").mark) == "--set tower.heads=2"
    assert str(at(root, "decoder", "layers", 0, "ffn", "hidden").mark) == "sound.yaml:11"


def test_depth_is_overlaid_leaf_by_leaf_and_expanded_last(write: Write) -> None:
    write(
        "a.yaml",
        "extends: sound.yaml\n"
        "decoder: {layers: {'-1': {ffn: {use: block/wrapped, bridge: {use: bridge/linear, in_width: 1, out_width: 1}}}}}\n"
        "set: {decoder.layers.1:3.ffn.hidden: 7, decoder.layers.*.extra: 1}\n",
    )
    layers = compose("a.yaml", sets=["decoder.depth=5"]).root.plain()["decoder"]["layers"]
    assert [layer["ffn"].get("hidden") for layer in layers] == [3, 7, 7, 12, None]
    assert [layer["ffn"]["use"] for layer in layers] == ["block/dense"] * 4 + ["block/wrapped"]
    assert all(layer["extra"] == 1 for layer in layers)


def test_overrides_reach_an_explicit_list_and_lists_of_plain_values(write: Write) -> None:
    write(
        "a.yaml",
        "extends: sound.yaml\nstages: [{share: 1}, {share: 2}]\nset: {stages.1.share: 5, 'stages.*.seed': 1}\n",
    )
    assert compose("a.yaml").root.plain()["stages"] == [{"share": 1, "seed": 1}, {"share": 5, "seed": 1}]
    write("b.yaml", saved(compose("sound.yaml")))
    layers = compose("b.yaml", sets=["decoder.layers.2:4.ffn.hidden=9"]).root.plain()["decoder"]["layers"]
    assert [layer["ffn"]["hidden"] for layer in layers] == [3, 12, 9, 9]


def test_a_mapping_that_only_looks_like_depth_stays_a_mapping() -> None:
    root = parse("rates: {'*': 0.1}\nnumbers: {1: a, 2: b}\n", "x.yaml")
    assert compose(root, sets=["rates.*=0.2"]).root.plain() == {
        "rates": {"*": 0.2},
        "numbers": {"1": "a", "2": "b"},
    }


def test_references_follow_overrides_and_the_place_where_a_file_is_used(write: Write) -> None:
    write(
        "model.yaml",
        "extends: sound.yaml\nset:\n  decoder.width: ${bridge.out_width}\n  decoder.depth: ${tower.width}\n"
        "  decoder.layers.*.ffn.hidden: ${.bias}\n  decoder.layers.*.ffn.bias: ${tower.heads}\n  tower.heads: 2\n",
    )
    plain = compose("model.yaml", sets=["bridge.out_width=10", "tower.width=2"]).root.plain()
    assert plain["decoder"]["width"] == 10
    assert [layer["ffn"]["hidden"] for layer in plain["decoder"]["layers"]] == [2, 2]
    write(
        "whole.yaml",
        "assembly: {extends: model.yaml, set: {tower.width: 2}}\nname: w${assembly.tower.width}\n",
    )
    whole = compose("whole.yaml", sets=["assembly.bridge.out_width=12"]).root.plain()
    assert whole["assembly"]["decoder"]["width"] == 12
    assert whole["name"] == "w2"


def test_an_assembly_is_named_in_an_experiment_and_replaced_by_one_that_extends_it(write: Write) -> None:
    write("first.yaml", "assembly: native\nseed: 1\n")
    write("second.yaml", "extends: first.yaml\nassembly: adapter\n")
    write("third.yaml", "extends: first.yaml\nset: {assembly.vision.depth: 2}\n")
    assert compose("first.yaml").root.plain()["assembly"]["use"] == "assembly/native"
    assert compose("second.yaml").root.plain()["assembly"]["use"] == "assembly/adapter"
    assert compose("third.yaml").root.plain()["assembly"]["vision"]["depth"] == 2


def test_numbers_are_read_as_yaml_1_2_says() -> None:
    text = "a: 1e-3\nb: on\nc: 4:8\nd: 010\ne: 1_000\nf: .inf\ng: ~\nh: TRUE\ni: 0x10\nj: '1e-3'\nk: -2\n"
    assert parse(text, "x").plain() == {
        "a": 0.001, "b": "on", "c": "4:8", "d": "010", "e": 1000, "f": float("inf"), "g": None, "h": True,
        "i": 16, "j": "1e-3", "k": -2,
    }  # fmt: skip


def test_what_is_saved_runs_again_and_is_the_same(write: Write) -> None:
    write(
        "a.yaml",
        "extends: sound.yaml\nset: {tower.norm: post, tower.sizes: [1, 2], tower.mean: [1e-9, 2.0]}\n",
    )
    composed = compose("a.yaml")
    write("again.yaml", saved(composed))
    again = compose("again.yaml")
    assert again.root.plain() == composed.root.plain()
    assert again.plugins == composed.plugins
    check(again)
    odd: dict[str, Any] = {
        "texts": ["1e-3", "on", "null", "4:8", "${x", "é", " a\nb ", "", "0x1", "~"],
        "n": None,
    }
    assert parse(yaml.dump(odd, Dumper=_Dumper, allow_unicode=True), "x").plain() == odd


@pytest.mark.parametrize(
    ("selector", "layers"), [("*", [0, 1, 2]), ("-2:", [1, 2]), ("::-1", [2, 1, 0]), ("1", [1])]
)
def test_selectors_are_python_slices(selector: str, layers: list[int]) -> None:
    assert select(selector, 3) == layers


@pytest.mark.parametrize("selector", ["3", "-4", "2:2", "1:4", "::0"])
def test_a_selector_that_selects_nothing_is_refused(selector: str) -> None:
    with pytest.raises(IndexError, match=r"layer|step"):
        select(selector, 3)


def test_a_name_without_that_scale_is_told_the_scales_that_there_are() -> None:
    with pytest.raises(UserError, match=r"native has no scale 'huge'; known: .*\bnano\b"):
        compose("native", scale="huge")


def test_strict_composition_raises_and_a_lenient_one_waits_for_the_walk(write: Write) -> None:
    write("a.yaml", "extends: sound.yaml\nset: {tower.width: '${nope}', bridge.gian: 1}\n")
    with pytest.raises(ConfigError, match="there is no nope"):
        compose("a.yaml")
    with pytest.raises(ConfigError) as told:
        check(compose("a.yaml", lenient=True))
    assert len(told.value.lines) == 2


def test_a_composed_tree_is_not_changed_by_building_it(write: Write) -> None:
    composed = compose("sound.yaml")
    before = composed.root.plain()
    build(composed)
    assert composed.root.plain() == before


def test_here_is_the_folder_of_the_file_that_says_it(write: Write, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write("deep/a.yaml", "words: ${here}/hf\nmore: [a, '${here}']\nset: {last: '${here}'}\n")
    write("b.yaml", "extends: deep/a.yaml\nmine: ${here}\n")
    plain = compose("b.yaml").root.plain()
    deep = str((tmp_path / "deep").resolve())
    assert plain == {
        "words": f"{deep}/hf",
        "more": ["a", deep],
        "last": deep,
        "mine": str(tmp_path.resolve()),
    }
