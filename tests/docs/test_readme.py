"""What the README prints is what is run here: its YAML, its Python, and the files that it names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    """The one example in this language that is marked as tested."""
    found = re.findall(rf"<!-- test: {language} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert len(found) == 1, f"{len(found)} tested blocks of {language}"
    return str(found[0])


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_examples_are_as_short_as_promised() -> None:
    for language in ("yaml", "python"):
        lines = [line for line in block(language).splitlines() if line.strip() and not line.startswith("#")]
        assert len(lines) <= 10, language


def test_the_python_runs_as_printed(tmp_path: Path) -> None:
    result = run(sys.executable, "-c", block("python"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "torch.Size([28, 128])\n"


def test_the_yaml_validates_and_shows_what_it_swapped(tmp_path: Path) -> None:
    (tmp_path / "pooled.yaml").write_text(block("yaml"))
    checked = run(sys.executable, "-m", "vlmloom", "validate", "pooled.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    shown = run(sys.executable, "-m", "vlmloom", "show", "pooled.yaml", cwd=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "projector/mlp" in shown.stdout
    assert "projector/merger" not in shown.stdout


def test_the_yaml_trains(tmp_path: Path) -> None:
    """As the README prints it, but for two steps of it."""
    (tmp_path / "pooled.yaml").write_text(block("yaml"))
    (printed,) = re.findall(r"^vlmloom (fit .*?) +#", README, re.MULTILINE)
    call = [sys.executable, "-m", "vlmloom", *printed.split(), "--trainer.max_steps=2"]
    trained = run(*call, "--set", "data.pack_tokens=512", cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert (tmp_path / "runs" / "pooled" / "model.safetensors").exists()


def test_the_yaml_is_what_the_quickstart_says_of_it() -> None:
    parsed = yaml.safe_load(block("yaml"))
    assert parsed["extends"] == "nano/native"
    assert list(parsed["swap"]) == ["assembly.projector"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text())
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing
