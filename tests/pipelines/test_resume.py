"""A run that was killed and started again equals one that was not, to the last bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_run.py")


def run(folder: Path, how: str, *sets: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, folder, how, *sets], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def curve(folder: Path) -> list[dict]:
    points = json.loads((folder / "ledger.json").read_text())["curve"]
    return [{key: value for key, value in point.items() if key != "seconds"} for point in points]


@pytest.mark.parametrize(
    "deaths",
    [
        pytest.param(["step=3"], id="before the first checkpoint", marks=pytest.mark.slow),
        pytest.param(["step=7", "step=2"], id="twice in mid-epoch"),
        pytest.param(
            ["checkpoint=2", "step=9"],
            id="half-way through a checkpoint, then in the second stage",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killed_and_resumed_equals_uninterrupted(whole, tmp_path, deaths):
    for how in deaths:
        assert run(tmp_path, how).returncode == -9
    done = run(tmp_path, "whole")
    assert done.returncode == 0, done.stderr[-2000:]
    assert curve(tmp_path) == curve(whole)
    assert (tmp_path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_of_another_experiment_is_refused(whole):
    refused = run(whole, "whole", "assembly.language.depth=3")
    assert refused.returncode != 0
    assert "holds another experiment" in refused.stderr


def test_what_a_kill_left_half_written_is_gone_at_the_next_start(tmp_path):
    """Before the stage ends, so also where the next start is killed too."""
    for how, left in (("checkpoint=1", 1), ("step=1", 0)):
        assert run(tmp_path, how).returncode == -9
        assert len(list(tmp_path.rglob(".*.part"))) == left


@pytest.mark.slow
@pytest.mark.parametrize(("file", "steps"), [("two_towers.yaml", [5]), ("siglip2.yaml", [4, 7])])
def test_a_contrastive_stage_that_was_killed_equals_one_that_was_not(file, steps, tmp_path):
    """Languages and numbers of tokens are drawn again, and a late teacher goes on, as they were."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    source = str(SCRIPT.with_name(file))
    assert run(whole, "whole", source).returncode == 0
    for step in steps:
        assert run(killed, f"step={step}", source).returncode == -9
    done = run(killed, "whole", source)
    assert done.returncode == 0, done.stderr[-2000:]
    assert curve(killed) == curve(whole) and len(curve(whole)) > 8
    assert (killed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
