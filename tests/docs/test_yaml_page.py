"""What docs/yaml.md and docs/cli.md print works as printed."""

import re
import shlex
from pathlib import Path

import pytest

from vlmloom.pipelines.cli import main, verbs

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS = re.findall(r"```yaml\n(extends:.*?)```", (DOCS / "yaml.md").read_text(), re.DOTALL)
# Those that train for minutes are left out; tests of their own call them.
COMMANDS = re.findall(r"^vlmloom (?!ablate|fit).*$", (DOCS / "cli.md").read_text(), re.MULTILINE)


def test_there_is_something_to_run() -> None:
    assert BLOCKS and len(COMMANDS) >= 2


@pytest.mark.parametrize("text", BLOCKS)
def test_every_file_that_is_printed_whole_is_sound(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "printed.yaml").write_text(text)
    assert main(["validate", str(tmp_path / "printed.yaml")]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command, comments=True)[1:]) == 0, capsys.readouterr().err


def test_every_verb_is_in_the_table() -> None:
    text = (DOCS / "cli.md").read_text()
    assert [verb for verb in verbs() if f"| `vlmloom {verb}" not in text] == []
