"""The JSON Schema: up to date, sound, and of one mind with the walker."""

import json
from pathlib import Path

import jsonschema
import pytest

from vlmloom.pipelines.ablate import Ablation
from vlmloom.pipelines.alone import ComponentExperiment
from vlmloom.pipelines.experiment import Experiment
from vlmloom.registry import catalog
from vlmloom.registry.marked import load
from vlmloom.registry.schema import schema, schema_text

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "configs" / "schema.json"
SHIPPED = sorted([*(ROOT / "assemblies").rglob("*.yaml"), *(ROOT / "configs").rglob("*.yaml")])


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    catalog.cache_clear()
    made = schema(Experiment, ComponentExperiment, Ablation)
    jsonschema.Draft7Validator.check_schema(made)
    return jsonschema.Draft7Validator(made)


def test_the_committed_schema_is_up_to_date(validator: jsonschema.Draft7Validator) -> None:
    assert FILE.read_text() == schema_text(validator.schema), "run: vlmloom schema --out configs/schema.json"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_yaml_names_the_schema_and_keeps_it(
    path: Path, validator: jsonschema.Draft7Validator
) -> None:
    first = path.read_text().splitlines()[0]
    name = first.removeprefix("# yaml-language-server: $schema=")
    assert name != first, f"{path} begins with {first!r}"
    assert (path.parent / name).resolve() == FILE
    assert [error.message for error in validator.iter_errors(load(path).plain())] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"use": "projector/mpl"},
        {"use": "projector/mlp", "hiden": 3},
        {"use": "projector/mlp", "in_width": "wide", "out_width": 4},
        {"use": "assembly/native", "vision": {"use": "head/lm"}},
        {"use": "assembly/native", "head": {"lm": {"use": "head/lm", "tide": True}}},
        {"use": "assembly/native", "language": {"use": "language/glm", "layers": {"4:x": {}}}},
        {"swap": {"projector": {"use": "projector/mpl"}}},
        {"assembly": "native", "stages": [{"objektive": 3}]},
    ],
    ids=json.dumps,
)
def test_it_marks_what_the_walker_refuses(wrong: dict, validator: jsonschema.Draft7Validator) -> None:
    assert list(validator.iter_errors(wrong))


def test_it_takes_references_and_overlays(validator: jsonschema.Draft7Validator) -> None:
    overlay = {
        "extends": "native",
        "language": {"width": "${vision.width}", "layers": {"*": {"ffn": {"hidden": 3}}}},
    }
    assert not list(validator.iter_errors(overlay))
    whole = {"use": "projector/mlp", "in_width": "${a.b}", "out_width": 4}
    assert not list(validator.iter_errors(whole))
