"""The worked example of docs/components.md: a projector outside the package, found, checked and built."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry.catalog import Catalog

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def projector(**arguments: int) -> torch.nn.Module:
    known = Catalog()
    known.add_plugin("soft_pool.py", EXAMPLES)
    assert [entry.name for entry in known.list()] == ["projector/soft_pool"]
    return known.resolve("projector/soft_pool")(**arguments)


def test_it_is_a_mean_where_all_scores_are_equal() -> None:
    pool = projector(in_width=6, out_width=5)
    torch.nn.init.zeros_(pool.score.weight)
    tokens = torch.randn(16, 6)
    features, metrics = pool(VisualFeatures(tokens, [(1, 4, 4)], block=2))
    expected = pool.proj(tokens.view(4, 4, 6).mean(dim=1))
    torch.testing.assert_close(features.tokens, expected)
    assert features.shapes == [(1, 2, 2)]
    assert metrics == {}


def test_it_declares_what_it_gives_and_what_it_costs() -> None:
    pool = projector(in_width=6, out_width=5)
    given = pool.shapes(Spec("visual", 6, ((1, 4, 4),)))
    assert given == Spec("visual", 5, ((1, 2, 2),))
    # Four groups: a score for each of four tokens, one map of each mean.
    assert pool.flops([(1, 4, 4)]) == 4 * (4 * 2 * 6 + 2 * 6 * 5)


def test_its_yaml_validates_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vlmloom", "validate", str(EXAMPLES / "soft_pool.yaml")]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr


def test_it_trains_in_a_native_model(tmp_path: Path) -> None:
    tiny = Path(__file__).resolve().parents[1] / "pipelines" / "tiny.yaml"
    (tmp_path / "pooled.yaml").write_text(
        f"extends: {tiny}\nplugins: [{EXAMPLES / 'soft_pool.py'}]\n"
        "swap:\n  assembly.projector: {use: projector/soft_pool, block: 2}\nset:\n  budget.samples: 40\n"
    )
    command = [sys.executable, "-m", "vlmloom", "fit", "-c", "pooled.yaml", "--out", "run"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    trained = load_file(tmp_path / "run" / "model.safetensors")
    assert trained["projector.score.weight"].shape == (1, 16)
    assert trained["projector.proj.weight"].shape == (16, 16)
