"""What several processes of one training meet is told once; what one alone meets, with its number."""

from pathlib import Path

import pytest
from processes import together

TINY = Path(__file__).with_name("tiny.yaml")


def fit(out: Path, *more: str) -> list[str | Path]:
    return ["-m", "vlmloom", "fit", "-c", TINY, "--out", out, *more]


def sharded(out: Path, *more: str) -> list[str | Path]:
    flags = ("accelerator=cpu", "devices=2", "strategy=fsdp2")
    return fit(out, *(f"--trainer.{flag}" for flag in flags), *more)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (("--set", "budget.samples=none"), "budget.samples"),
        (("--scale",), "--scale: expected one argument"),
    ],
)
def test_a_mistake_before_the_processes_have_met_is_one_line(tmp_path, mistake, told):
    codes, errors = together(*[fit(tmp_path, *mistake)] * 2)
    print(errors)
    (line,) = "".join(errors).splitlines()
    assert told in line
    assert codes == [2, 2]


def test_a_broken_file_that_all_read_is_one_line(tmp_path):
    broken = tmp_path / "checkpoints" / "0-first" / "step=4.ckpt"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"no archive")
    codes, errors = together(*[sharded(tmp_path)] * 2)
    print(errors)
    (line,) = [line for error in errors for line in error.splitlines() if broken.name in line]
    assert "is no readable checkpoint" in line
    assert "Traceback" not in "".join(errors) and not errors[1]
    assert codes == [2, 2]


def test_what_another_process_alone_meets_is_told_with_its_number(tmp_path):
    codes, errors = together(
        fit(tmp_path, "--set", "budget.samples=none"), fit(tmp_path, "--set", "nothing=1")
    )
    print(errors)
    assert codes == [2, 2]
    (first,), (second,) = (error.splitlines() for error in errors)
    assert "budget.samples" in first and not first.startswith("process")
    assert second.startswith("process 1: ") and "nothing" in second
