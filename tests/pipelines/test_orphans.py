"""A job does not outlive the command that started it."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

COMMAND = """
import multiprocessing, time
from vlmloom.pipelines.job import end_with_parent


def job():
    end_with_parent()
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)


if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=job)
    process.start()
    process.join()
"""


@pytest.mark.parametrize(
    ("how", "background"),
    [
        (signal.SIGTERM, True),
        pytest.param(signal.SIGKILL, False, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, True, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, marks=pytest.mark.slow),
    ],
)
def test_a_job_is_interrupted_when_its_command_is_ended(how, background, tmp_path):
    script = tmp_path / "command.py"
    script.write_text(COMMAND, encoding="utf-8")
    # A shell that puts a command into the background has it ignore Ctrl-C.
    before = ["trap '' INT;"] if background else []
    line = shlex.join([sys.executable, str(script)])
    command = subprocess.Popen(
        ["sh", "-c", " ".join([*before, "exec", line])], stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    os.kill(command.pid, how)
    command.wait()
    started = time.monotonic()
    assert command.stdout.read() == "interrupted\n"  # Ends once the job, too, has let go of the pipe.
    assert time.monotonic() - started < 30
