"""Files that are whole or not there: what stays of a writing that was cut short, and for how long."""

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from vlmloom.pipelines.files import new_folder, restored, swept
from vlmloom.registry.errors import UserError


def half_written(folder, name):
    file = folder / "checkpoints" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("half")
    return file


def test_only_who_holds_a_folder_sweeps_it(tmp_path):
    first = half_written(tmp_path, ".step=4.ckpt.0123abcd.part")
    others = [half_written(tmp_path, name) for name in ("notes.part", ".hidden", "step=4.ckpt")]
    with swept(tmp_path):
        assert not first.exists()
        being_written = half_written(tmp_path, ".step=8.ckpt.4567cdef.part")
        with swept(tmp_path):
            assert being_written.exists()
    with swept(tmp_path):
        assert not being_written.exists()
    assert all(other.exists() for other in others)


FILLING = """
import signal, sys, time
from pathlib import Path
from vlmloom.pipelines.files import new_folder
# Jobs in the background of a script ignore it, and so would their children.
signal.signal(signal.SIGINT, signal.default_int_handler)
with new_folder(Path(sys.argv[1])) as part:
    (part / "hf").mkdir()
    (part / "hf" / "config.json").write_text("half")
    print("filling", flush=True)
    time.sleep(60)
"""


@contextmanager
def filling(out):
    """Another process that fills a new folder until it is ended."""
    process = subprocess.Popen([sys.executable, "-c", FILLING, out], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "filling\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_folder_whose_filling_is_ended_is_not_there(tmp_path, number):
    with filling(tmp_path / "models" / "out") as process:
        assert (tmp_path / "models" / ".out.part" / "hf" / "config.json").exists()
        process.send_signal(number)
        assert process.wait(30) in (-number, 128 + number)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_leaves_of_a_folder_goes_when_the_next_one_begins(tmp_path):
    out = tmp_path / "out"
    with filling(out):
        with pytest.raises(UserError, match=f"^{out}: another process is writing it"), new_folder(out):
            raise AssertionError("two at once")
        assert (tmp_path / ".out.part" / "hf" / "config.json").exists()
    assert (tmp_path / ".out.part" / "hf" / "config.json").exists()
    with new_folder(out) as part:
        assert not list(part.iterdir())
        (part / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "new"]


def test_a_folder_is_as_it_was_until_it_holds_something_of_worth(tmp_path):
    out = tmp_path / "runs" / "out"
    for worth in (False, True):
        with pytest.raises(KeyboardInterrupt), restored(out, lambda: worth):  # noqa: B023
            (out / "logs").mkdir()
            (out / "logs" / "a").touch()
            raise KeyboardInterrupt
        assert (out / "logs" / "a").exists() == worth == (tmp_path / "runs").exists()
    with pytest.raises(KeyboardInterrupt), restored(out, lambda: False, ["logs"]):
        (out / "logs" / "b").touch()
        (out / "of_another").touch()
        raise KeyboardInterrupt
    assert sorted(path.name for path in out.rglob("*")) == ["a", "logs", "of_another"]
