"""Code that tries to get out, to read, to write, to talk, to multiply or to stay; and none of it does."""

import os
import pickle
import re
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from vlmloom.components.sandbox import code as sandbox
from vlmloom.components.sandbox import jail
from vlmloom.components.sandbox.code import CodeRunner, SandboxRefused, removed


@pytest.fixture(scope="module")
def runner():
    runner = CodeRunner(seconds=2, disk=4 << 20, memory=512 << 20)
    yield runner
    runner.close()


def test_values_output_and_files_come_back(runner):
    run = runner.run(["def f(x): return 2 * x\nprint('hi')\nopen('a', 'w').write('b')"], ["f(3)"], ["a", "z"])
    assert (run.values, run.error, run.printed, run.files) == (("6",), "", "hi\n", {"a": b"b"})
    assert run.missing == ()


def test_the_working_folder_is_empty_and_goes_away(runner):
    run = runner.run(["import os\nwhere = os.getcwd()"], ["os.listdir('.')", "where"])
    assert run.values[0] == "[]" and not Path(run.values[1].strip("'")).exists()


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "open('/proc/1/cmdline').read()",
        "import os; os.listdir('/')",
        "import os; os.listdir('..')",
        "import os; os.symlink('/etc/passwd', 'a'); open('a').read()",
        "import os; os.link('/etc/passwd', 'a')",
    ],
)
def test_no_file_outside_is_read(runner, attempt):
    run = runner.run([f"x = None\n{attempt}"], ["x"])
    assert ("PermissionError" in run.error or "cross-device" in run.error) and run.values == ()


def test_a_secret_beside_the_working_folder_is_not_read(runner, tmp_path):
    (tmp_path / "secret").write_text("gold")
    assert "PermissionError" in runner.run([f"open({str(tmp_path / 'secret')!r}).read()"]).error


MEMORY = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
page, end, seen = os.open("page", os.O_RDWR | os.O_CREAT), libc.sbrk(0), bytearray()
for start in range((end - (64 << 20)) & -4096, end, 4096):
    os.lseek(page, 0, 0)
    # What is not mapped is an error of the call and not the end of the process.
    if libc.write(page, start, 4096) == 4096:
        os.lseek(page, 0, 0)
        seen += os.read(page, 4096)
def found(name):
    return name[::-1].encode() in bytes(seen)
"""


def test_nothing_of_another_run_is_left_in_memory(runner):
    name = "known only to this run "
    for _ in range(3):
        run = runner.run([f"x = {name * 200!r}"], ["len(x)"])
        assert run.values == ("4600",)
    run = runner.run([MEMORY], [f"found({name[::-1]!r})", "found('krbs')", "len(seen) > 1 << 20"])
    assert run.error == "" and run.values == ("False", "True", "True")


@pytest.mark.parametrize(
    "attempt",
    ["open({!r}, 'w')", "import os; os.unlink({!r})", "import os; os.chmod({!r}, 0)",
     "import os; os.truncate({!r}, 0)", "import os; os.rename({!r}, 'a')", "import os; os.utime({!r})"],
)  # fmt: skip
def test_no_file_outside_is_changed(runner, tmp_path, attempt):
    path = tmp_path / "kept"
    path.write_text("kept")

    def state():
        # Without the time of the last reading, which this test changes itself.
        now = path.stat()
        return now.st_mode, now.st_ino, now.st_nlink, now.st_uid, now.st_size, now.st_mtime_ns

    before = state()
    assert runner.run([attempt.format(str(path))]).error
    assert path.read_text() == "kept" and state() == before


def test_nothing_is_reached_on_a_socket(runner):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        address = server.getsockname()
        for attempt in (
            f"import socket; socket.create_connection({address!r})",
            f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{address[1]}')",
            "import socket; socket.socketpair()",
        ):
            assert runner.run([attempt]).error
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "attempt",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['/bin/ls'])",
        "import multiprocessing as m; m.get_context('spawn').Process(target=print).start()",
        "import os; os.execv('/bin/ls', ['ls'])",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    ],
)
def test_nothing_multiplies(runner, attempt):
    assert runner.run([attempt]).error
    assert psutil.Process(runner._server.pid).children(recursive=True) == []


def test_nobody_else_is_signalled_or_traced(runner):
    for attempt in ("os.kill(os.getppid(), 9)", "os.kill(-1, 9)", "os.setpriority(0, os.getppid(), 19)"):
        assert "PermissionError" in runner.run([f"import os; {attempt}"]).error
    trace = "import ctypes, os; l = ctypes.CDLL(None); r = l.ptrace(16, os.getppid(), 0, 0)"
    assert runner.run([trace], ["r"]).values == ("-1",)
    limit = "import resource, os; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))"
    assert "PermissionError" in runner.run([limit]).error


def test_no_pipe_signals_another_process(runner):
    attempt = "import fcntl, os\nends = os.pipe()\n"
    for command, value in (("F_SETOWN", "os.getppid()"), ("F_SETSIG", "9"), ("F_SETOWN_EX", "b'x' * 8")):
        code = f"{attempt}fcntl.fcntl(ends[0], getattr(fcntl, {command!r}, 15), {value})"
        assert "PermissionError" in runner.run([code]).error
    free = f"{attempt}fcntl.fcntl(ends[0], fcntl.F_SETFL, os.O_NONBLOCK)"
    assert runner.run([free]).error == ""


@pytest.mark.parametrize(
    ("attempt", "reason"),
    [
        ("while True: pass", r"ran longer than 0\.5 s"),
        ("import time\ntime.sleep(60)", r"ran longer than 0\.5 s"),
        ("x = bytearray(1 << 30)", "MemoryError"),
        (
            "open('big', 'wb').write(bytes(8 << 20))",
            "File too large|wrote more than",
        ),
        ("i = 0\nwhile True:\n  i += 1; open(str(i), 'wb').write(bytes(1 << 20))", "wrote more than"),
        ("i = 0\nwhile True:\n  i += 1; open(str(i), 'wb').close()", "wrote more than"),
        ("import os\nwhile True: os.mkdir('a' * 200); os.chdir('a' * 200)", "cannot be measured"),
        ("while True: print('x' * 1000)", "File too large|wrote more than"),
        ("import ctypes; ctypes.string_at(0)", "ended by signal 11"),
        ("import os; os._exit(0)", "ended without a result"),
        ("raise SystemExit", "SystemExit"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("1 +", "SyntaxError"),
    ],
)
def test_what_overruns_or_breaks_is_ended_told_and_leaves_nothing(attempt, reason, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runner = CodeRunner(seconds=0.5, disk=1 << 20, memory=512 << 20)
    start = time.monotonic()
    assert re.search(reason, runner.run([attempt]).error)
    assert time.monotonic() - start < 3
    assert runner.run(["x = 1"], ["x"]).values == ("1",) and runner.restarts == 0
    assert list(tmp_path.iterdir()) == []
    runner.close()


def test_a_folder_is_removed_however_deep(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("a", dir_fd=place)
        os.symlink("/", "link", dir_fd=place)
        inner = os.open("a", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    removed(top)
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_our_environment_is_inside(runner, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_OURS", "secret")
    fresh = CodeRunner()
    inside = fresh.run(["import os"], ["dict(os.environ)"]).values[0]
    fresh.close()
    assert "secret" not in inside and str(Path.home()) not in inside


def test_a_server_that_is_killed_is_started_again_and_counted():
    runner = CodeRunner()
    runner.run(["x = 1"])
    runner._server.send_signal(signal.SIGKILL)
    assert runner.run(["x = 2"], ["x"]).values == ("2",) and runner.restarts == 1
    assert pickle.loads(pickle.dumps(runner)).run(["x = 3"], ["x"]).values == ("3",)
    runner.close()


def test_runners_stand_side_by_side(runner):
    other, found = CodeRunner(), {}
    threads = [
        threading.Thread(
            target=lambda one=one, name=name: found.update({name: one.run([f"x = {name}"], ["x"])})
        )
        for name, one in enumerate((runner, other, runner, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert [found[name].values for name in range(4)] == [("0",), ("1",), ("2",), ("3",)]


def test_a_missing_guard_is_refused_in_one_line_unless_it_is_allowed(monkeypatch, tmp_path):
    text = Path(jail.__file__).read_text()
    broken = tmp_path / "jail.py"
    broken.write_text(text.replace("libc.syscall(444, None", "libc.syscall(9999, None"))
    monkeypatch.setattr(sandbox, "JAIL", broken)
    with pytest.raises(
        SandboxRefused, match=r"^code sandbox: this machine has no landlock: .*would be right"
    ):
        CodeRunner().run(["x = 1"])
    allowed = CodeRunner(weaker=True).run(["import socket"], ["1"])
    assert allowed.values == ("1",) and "landlock" in allowed.missing[0]


@pytest.mark.parametrize(
    "attempt",
    [
        "import json\njson.dumps = lambda *a: '[[1]]'",
        "import os, json\nfor n in range(3, 30):\n  try: os.write(n, json.dumps({'refused': 'x'}).encode())\n"
        "  except OSError: pass\nos._exit(0)",
        'import json\njson.dumps = lambda *a: \'{"values": [], "error": "", "refused": "seccomp"}\'',
    ],
)
def test_a_forged_result_is_the_codes_fault(runner, attempt):
    run = runner.run([attempt], ["1"])
    assert run.error in ("ended without a result", "the result was tampered with")
