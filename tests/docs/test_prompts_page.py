"""What the page on prompts prints is what its code gives."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text()


def block(name: str, language: str) -> str:
    (found,) = re.findall(rf"<!-- test: {name} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_code_prints_what_the_page_says(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", block("python", "python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == block("output", "text")
