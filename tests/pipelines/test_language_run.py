"""language/run: the language part of a finished run, and a tower that begins with its blocks."""

from pathlib import Path

import pytest
import torch
import yaml

from vlmloom.components.language.glm import GLM
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import load_assembly, load_run
from vlmloom.registry import build
from vlmloom.registry.errors import ConfigError

TINY = Path(__file__).with_name("tiny.yaml")
HEAD = {"lm": {"use": "head/lm"}}
FEW = ["--trainer.enable_progress_bar=false", "--set", "budget.samples=20"]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """A language model alone, trained on scenes told in words."""
    folder = tmp_path_factory.mktemp("text") / "run"
    plain = yaml.safe_load(TINY.read_text())
    assembly = plain["assembly"]
    plain["assembly"] = {"use": "assembly/native", "language": assembly["language"], "head": HEAD}
    plain["stages"] = [plain["stages"][0] | {"view": "described"}]
    file = folder.with_name("text.yaml")
    file.write_text(yaml.safe_dump(plain))
    assert main(["fit", "-c", str(file), *FEW, "--out", str(folder)]) == 0
    return folder


def named(folder: Path) -> dict[str, str]:
    return {"use": "language/run", "folder": str(folder)}


def blocks(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The blocks and the last norm."""
    found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return {name: value for name, value in found.items() if not name.startswith("embed.")}


def test_the_trained_weights_arrive_in_a_tower(text):
    trained = blocks(load_run(text).assembly.state_dict(), "language.")
    part = build(named(text))
    assert isinstance(part, GLM) and part.training and all(one.requires_grad for one in part.parameters())
    found = blocks(build({"use": "vision/llm_init", "language": named(text)}).state_dict(), "language.")
    assert found.keys() == trained.keys()
    for name, value in found.items():
        assert torch.equal(value, trained[name]), name


def test_such_a_tower_trains_from_there_and_is_opened_again(text, tmp_path):
    swap = f"assembly.vision={{use: vision/llm_init, patch: 16, language: {named(text)}}}"
    out = tmp_path / "out"
    assert main(["fit", "-c", str(TINY), "--swap", swap, *FEW, "--out", str(out)]) == 0
    whole, streamed = load_run(out).assembly.state_dict(), load_assembly(out).state_dict()
    assert whole.keys() == streamed.keys()
    assert all(torch.equal(whole[name], streamed[name]) for name in whole)
    before = blocks(build(named(text)).state_dict(), "")
    assert not torch.equal(whole["vision.language.blocks.0.qkv.weight"], before["blocks.0.qkv.weight"])


def test_a_folder_without_a_run_or_a_language_part_is_one_line(text, tmp_path):
    with pytest.raises(
        ConfigError, match="the folder of a finished run or of an import would be right"
    ) as told:
        build(named(tmp_path))
    assert "\n" not in str(told.value)
    tower, out = "vision/cogvit,width=16,depth=1,heads=2,patch=16", tmp_path / "tower"
    teacher = "objective/distil,teachers={plain: {use: vision/cogvit, width: 8, depth: 1, heads: 2}}"
    alone = [
        "fit",
        "--model",
        tower,
        "--data",
        "data/nano",
        "--objective",
        teacher,
        "--budget",
        "samples=20",
        "--out",
        str(out),
    ]
    assert main(alone) == 0
    with pytest.raises(ConfigError, match="its CogViT has no language part"):
        build(named(out))
