"""Building: children first, templates by their owners, values as the types that are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from torch import nn

from vlmloom.registry import ArgumentsOf, build, build_as, catalog, check, compose
from vlmloom.registry.errors import ConfigError, Mark
from vlmloom.registry.hints import Signature, describe_hint, signature
from vlmloom.registry.leaf import WrongType, convert
from vlmloom.registry.marked import mark_all


@pytest.fixture(autouse=True)
def toys(write: Any) -> None:
    catalog().add_plugin(str(Path(__file__).with_name("toys.py")))


def test_a_whole_model_is_built_from_its_parts() -> None:
    model = build(compose("sound.yaml"))
    assert model.bridge.map.in_features == 8, "inferred by the owner"
    assert [block.up.out_features for block in model.decoder.blocks] == [3, 12, 12, 12]
    assert model.tower.weight.weight.device.type == "cpu"


def test_supplied_arguments_stand_in_for_written_ones() -> None:
    assert build({"use": "bridge/linear", "out_width": 3}, in_width=5).map.in_features == 5
    assert build({"use": "bridge/linear", "out_width": 3}, in_width=5, out_width=4).map.out_features == 4
    with pytest.raises(ConfigError, match="bridge/linear needs a value for this key: int"):
        build({"use": "bridge/linear", "out_width": 3})


def test_a_built_object_may_stand_in_a_mapping() -> None:
    tower = build({"use": "tower/plain", "width": 8})
    block = {"use": "block/dense", "hidden": 1}
    decoder = {"use": "decoder/stack", "width": 2, "depth": 1, "layers": {"*": {"ffn": block}}}
    bridge = {"use": "bridge/linear", "out_width": 2}
    model = build({"use": "model/pair", "tower": tower, "bridge": bridge, "decoder": decoder})
    assert model.tower is tower


def test_a_class_path_stands_for_a_name() -> None:
    built = build({"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 3}})
    assert isinstance(built, torch.nn.Linear)


def test_a_template_is_a_partial_whose_children_are_new_at_each_call() -> None:
    @dataclass
    class Owner:
        block: Callable[..., torch.nn.Module]

    bridge = {"use": "bridge/linear", "in_width": 2, "out_width": 2}
    owner = build_as({"block": {"use": "block/wrapped", "bridge": bridge}}, Owner)
    assert isinstance(owner.block, partial)
    one, two = owner.block(width=3), owner.block(width=3)
    assert one.bridge.map.weight is not two.bridge.map.weight


def test_what_a_constructor_refuses_says_where() -> None:
    with pytest.raises(ConfigError, match=r"--set tower.heads=3: tower.heads: tower/plain: width 8 does not"):
        build(compose("sound.yaml", sets=["tower.heads=3"]))


def test_a_dataclass_is_built_with_its_parts_and_refuses_what_it_does_not_know() -> None:
    @dataclass
    class Step:
        share: float
        tower: torch.nn.Module | None = None

        def __post_init__(self) -> None:
            if self.share <= 0:
                raise ValueError(f"share is {self.share}; above 0 would be right")

    @dataclass
    class Plan:
        steps: list[Step]
        rates: dict[str, float] = field(default_factory=dict)
        trainer: Annotated[dict[str, Any], ArgumentsOf("torch.optim.AdamW", (("lr", "auto"),))] = field(
            default_factory=dict
        )

    globals().update(Step=Step)
    made = build_as(
        {
            "steps": [{"share": 1, "tower": {"use": "tower/plain", "width": 2}}],
            "rates": {"*": 1},
            "trainer": {"lr": 1},
        },
        Plan,
    )
    assert isinstance(made.steps[0], Step) and made.steps[0].share == 1.0
    assert made.steps[0].tower.out_width == 2
    assert made.rates == {"*": 1.0}
    assert build_as({"steps": [], "trainer": {"lr": "auto"}}, Plan).trainer == {"lr": "auto"}
    with pytest.raises(
        ConfigError, match=r"trainer\.lr: found 'automatic'; needs float or component of class"
    ):
        build_as({"steps": [], "trainer": {"lr": "automatic"}}, Plan)
    with pytest.raises(ConfigError) as told:
        build_as({"steps": [{"shore": 1, "share": "x"}], "trainer": {"lrr": 1}}, Plan)
    assert [line.partition(": ")[2] for line in told.value.lines] == [
        "steps.0.share: found 'x'; needs float",
        "steps.0.shore: Step has no such key; did you mean share?",
        "trainer.lrr: torch.optim.AdamW has no such key; did you mean lr?",
    ]
    with pytest.raises(ConfigError, match=r"steps\.0: share is 0\.0; above 0 would be right"):
        check(mark_all({"steps": [{"share": 0}]}, Mark("x")), Plan)


@pytest.mark.parametrize(
    ("value", "hint", "right"),
    [
        (1, float, 1.0),
        ("a", Literal["a", "b"], "a"),
        (None, int | None, None),
        (3, int | str, 3),
        (2.5, int | float, 2.5),
    ],
)
def test_values_become_the_type_that_is_asked_for(value: Any, hint: Any, right: Any) -> None:
    assert convert(value, hint) == right
    assert type(convert(value, hint)) is type(right)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, int),
        (1, bool),
        (True, float),
        (1.5, int),
        (None, int),
        (3, str),
        ("c", Literal["a"]),
        (True, Literal[1]),
    ],
)
def test_values_of_another_type_are_refused(value: Any, hint: Any) -> None:
    with pytest.raises(WrongType):
        convert(value, hint)


def test_tuples_and_lists_keep_their_kind() -> None:
    tower = build({"use": "tower/plain", "width": 2, "mean": [1, 2], "sizes": [3]})
    assert tower.mean == (1.0, 2.0)
    assert tower.sizes == [3]


def test_hints_are_said_in_words() -> None:
    assert describe_hint(Sequence[int]) == "list of int"
    assert describe_hint(dict[str, float] | None) == "mapping to float or null"


def test_help_comes_from_the_docstring() -> None:
    def function(*, width: int, depth: int = 2) -> None:
        """Do.

        Args:
            width: how wide,
                in units.
            depth: how deep.
        """

    helps = {name: parameter.help for name, parameter in signature(function).parameters.items()}
    assert helps == {"width": "how wide, in units.", "depth": "how deep."}


def test_a_module_without_a_constructor_takes_nothing_even_after_compilation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch.compile replaces the constructor of every module by a function of its own."""
    plain = nn.Module.__init__

    def replaced(self: nn.Module, *args: object, **kwargs: object) -> None:
        plain(self, *args, **kwargs)

    class Bare(nn.Module):
        pass

    monkeypatch.setattr(nn.Module, "__init__", replaced)
    assert signature(Bare) == Signature({})
