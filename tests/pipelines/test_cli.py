"""The command: exit statuses, JSON that is stable, and nothing heavy imported before it is needed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vlmloom.pipelines import cli
from vlmloom.pipelines.cli import main, verbs

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted([*(ROOT / "assemblies").rglob("*.yaml"), *(ROOT / "configs").rglob("*.yaml")])


def test_help_of_every_verb_imports_no_torch() -> None:
    code = (
        "import sys\nfrom vlmloom.pipelines.cli import main, verbs\n"
        "for verb in [None, *verbs()]:\n"
        "    assert main([*([verb] if verb else []), '--help']) == 0, verb\n"
        "assert 'torch' not in sys.modules and 'lightning' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for verb in verbs():
        assert f"usage: vlmloom {verb}" in done.stdout
    assert done.stdout.count("examples:") == len(verbs()) + 1


@pytest.mark.parametrize(("asked", "found", "spins"), [(None, "PASSIVE", "1000"), ("ACTIVE", "ACTIVE", None)])
def test_threads_soon_sleep_unless_the_user_says_otherwise(
    asked: str | None, found: str, spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is set before torch is loaded, which `--help` of no verb does."""
    monkeypatch.setenv("OMP_WAIT_POLICY", asked or "")
    monkeypatch.setenv("GOMP_SPINCOUNT", "")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    if asked is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["ls", "--help"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == found
    assert os.environ.get("GOMP_SPINCOUNT") == spins


def test_mistakes_on_the_command_line_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert main([]) == 2
    assert main(["ls", "--jason"]) == 2
    assert "unknown option --jason" in capsys.readouterr().err
    assert main(["show", "native", "--image", "big"]) == 2
    assert "height and width such as 224x224" in capsys.readouterr().err


def test_an_interruption_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(only: str | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parser", interrupt)
    assert main(["ls"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"set -o pipefail; {sys.executable} -m vlmloom ls | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_yaml_is_sound(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that it stands on may lack where its head says how that one is made."""
    status, told = main(["validate", str(path)]), capsys.readouterr().err
    assert bool(status) == bool(told)
    for line in told.splitlines():
        found = re.search(
            r": (runs/\w+): (?:is not there; the folder of a finished run|there is no such)", line
        )
        assert found and f"--out {found[1]}\n" in path.read_text(), line


def test_show_counts_what_torch_counts(capsys: pytest.CaptureFixture[str]) -> None:
    from vlmloom.registry import build, compose

    assert main(["show", "native", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    model = build(compose("native"))
    parameters = list(model.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    assert shown["parameters"]["total"] == total
    assert 0 < shown["parameters"]["active"] < total, "experts that a token does not visit are not active"
    assert shown["bytes"]["gradients"] == 4 * total and shown["bytes"]["optimizer"] == 8 * total
    tree = shown["tree"]
    assert [child["name"] for child in tree["children"]][:3] == ["vision", "projector", "language"]
    assert sum(child["parameters"]["total"] for child in tree["children"]) == total
    assert all(child["output"]["width"] > 0 for child in tree["children"])
    assert shown["flops"]["per_image"] == sum(shown["flops"]["per_image_by_part"].values()) > 0
    moe = [c for c in tree["children"][2]["children"] if c["use"] == "moe/sigmoid_bias"]
    assert moe and all(block["parameters"]["active"] < block["parameters"]["total"] for block in moe)


def test_show_prints_a_row_a_part_and_takes_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "native", "--swap", "projector=projector/linear", "--set", "language.depth=6"]) == 0
    out = capsys.readouterr().out
    assert "projector/linear" in out
    assert "blocks.1:6.ffn" in out
    assert "a token of text" in out and "memory" in out


def test_show_takes_an_experiment_and_refuses_what_is_no_assembly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nano/native", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["use"] == "assembly/native"
    assert main(["show", "data/nano"]) == 2
    assert "data/packed is no assembly" in capsys.readouterr().err


def test_doctor_tells_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) in (0, 1)
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert found["vlmloom"]["state"] == "ok"
    assert {finding["state"] for finding in found.values()} <= {"ok", "missing", "needed"}
    assert "source/openmoji" in found and "cache" in found and "CUDA" in found


def test_doctor_tells_of_a_cache_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from vlmloom.pipelines.verbs import doctor

    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "SPACE", 10**18)
    assert main(["doctor"]) == 1
    assert f"{tmp_path}, " in capsys.readouterr().out


def test_schema_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--out", str(tmp_path / "made" / "schema.json")]) == 0
    assert json.loads((tmp_path / "made" / "schema.json").read_text())["$defs"]
    (tmp_path / "file").touch()
    assert main(["schema", "--out", str(tmp_path / "file" / "schema.json")]) == 2
    assert "file: cannot be a folder (File exists)" in capsys.readouterr().err


def test_a_constructor_tells_all_that_it_refuses_each_at_its_override(tmp_path, capsys) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "extends: native\nset:\n  language.kv_heads: 3\n  language.heads: 5\n  language.vocab: -5\n"
        "  vision.depth: -1\n  vision.hidden: 0\n"
    )
    assert main(["validate", str(broken)]) == 2
    told = [line.removeprefix(f"{broken}:") for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "3: language.kv_heads: language/glm: kv_heads 3 do not divide heads 5",
        "4: language.heads: language/glm: heads 5 do not divide width 128; change one or set head_size",
        "5: language.vocab: language/glm: vocab is -5; it must be at least 1",
        "6: vision.depth: vision/cogvit: depth is -1; from 0 to 10000 would be right",
        "7: vision.hidden: vision/cogvit: hidden is 0; 1 or more would be right",
    ]
    broken.write_text(
        "extends: native\nset:\n  language.layers.1:2.ffn.top_k: 9\n  language.layers.1:2.ffn.hidden: 0\n"
    )
    assert main(["validate", str(broken)]) == 2
    told = [line.removeprefix(f"{broken}:") for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "3: language.layers.1.ffn.top_k: moe/sigmoid_bias: top_k is 9; "
        "it must be from 1 to the 8 open experts",
        "4: language.layers.1.ffn.hidden: moe/sigmoid_bias: hidden is 0; it must be at least 1",
    ]
