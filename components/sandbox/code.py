"""Runs Python code that nobody trusts; `jail` is the inside of it."""

from __future__ import annotations

import json
import os
import site
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from vlmloom.registry.errors import UserError

JAIL = Path(__file__).with_name("jail.py")
SYSTEM = (
    "/usr/lib", "/usr/lib64", "/usr/share", "/usr/local/lib", "/usr/local/share", "/lib", "/lib64",
    "/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom",
)  # fmt: skip
"""What of the system can be read inside, beside the interpreter and its packages."""


class SandboxRefused(UserError):
    """This machine cannot lock code in as is asked; the message says what is missing."""


class SandboxFailed(RuntimeError):
    """The sandbox itself went wrong, whatever the code was."""


@dataclass(frozen=True)
class Run:
    """What became of some code.

    Attributes:
        values: the `repr` of the value of each call.
        error: what it raised or why it was ended, in one line; empty where all went well.
        printed: the beginning of its output.
        files: the files that were asked for and left in the working folder.
        missing: guards that this machine does not have; empty but where weaker ones are allowed.
        overran: it was ended because its time was over.
    """

    values: tuple[str, ...] = ()
    error: str = ""
    printed: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    overran: bool = False


class CodeRunner:
    """Runs code in a locked-in process: no network, no other processes, no files but an empty working folder.

    A server process imports `preload` once and forks for every run. One runner runs one code at a time;
    several stand side by side.

    Args:
        seconds: wall time, and about as much CPU time.
        memory: address space in bytes.
        disk: bytes that may be written.
        preload: modules that are imported before anything is run.
        weaker: run even where a guard is missing; `Run.missing` names it then.
    """

    longest = 100_000

    def __init__(
        self,
        *,
        seconds: float = 5.0,
        memory: int = 1 << 30,
        disk: int = 16 << 20,
        preload: Sequence[str] = (),
        weaker: bool = False,
    ) -> None:
        self.seconds = seconds
        self.memory = memory
        self.disk = disk
        self.preload = tuple(preload)
        self.weaker = weaker
        self.restarts = 0
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def run(self, sources: Sequence[str], calls: Sequence[str] = (), files: Sequence[str] = ()) -> Run:
        """Run the sources one after the other in one namespace, then evaluate the calls.

        Args:
            sources: Python source texts.
            calls: expressions whose values are wanted.
            files: names in the working folder whose content is wanted.

        Raises:
            SandboxRefused: a guard is missing here, and weaker ones are not allowed.
            SandboxFailed: the server died twice.
        """
        with self._lock:
            folder = Path(tempfile.mkdtemp(prefix="vlmloom-code-"))
            try:
                return self._run(folder, sources, calls, files)
            finally:
                removed(folder)

    def _run(self, top: Path, sources: Sequence[str], calls: Sequence[str], files: Sequence[str]) -> Run:
        folder = top / "work"
        folder.mkdir()
        code = json.dumps({"sources": list(sources), "calls": list(calls)}).encode()
        order = {
            "folder": str(folder),
            "results": str(top / "results"),
            "printed": str(top / "printed"),
            "size": len(code),
        }
        state = self._ask(json.dumps(order).encode() + b"\n" + code)
        if state["refused"]:
            raise SandboxRefused(
                f"code sandbox: this machine has no {state['refused']}; a Linux kernel with Landlock and "
                "seccomp would be right, or `weaker: true` where the code is trusted"
            )
        printed = (top / "printed").read_bytes()[: self.longest].decode("utf-8", "replace")
        missing = tuple(state["missing"])
        overran = bool(state["overran"])
        try:
            # What the code has left is no more to be trusted than the code.
            answer = json.loads((top / "results").read_bytes())
            values = tuple(str(value)[: self.longest] for value in answer["values"])
            error = str(answer["error"])[:1000]
        except (ValueError, TypeError, KeyError, RecursionError):
            return Run(
                error=state["stopped"] or "ended without a result",
                printed=printed,
                missing=missing,
                overran=overran,
            )
        kept = {name: content for name in files if (content := _content(folder / name)) is not None}
        if not error and len(values) != len(calls):
            error = "the result was tampered with"
        return Run(values, state["stopped"] or error, printed, kept, missing, overran)

    def _ask(self, order: bytes) -> dict[str, Any]:
        for _ in range(2):
            server = self._serve()
            assert server.stdin is not None and server.stdout is not None
            try:
                server.stdin.write(order)
                server.stdin.flush()
                if reply := server.stdout.readline():
                    answer: dict[str, Any] = json.loads(reply)
                    return answer
            except BrokenPipeError:
                pass
            self._stop()
            self.restarts += 1
        raise SandboxFailed("code sandbox: the server ended twice in mid-run")

    def _serve(self) -> subprocess.Popen[bytes]:
        if self._server is None or self._owner != os.getpid():
            self._owner = os.getpid()
            self._server = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(JAIL)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=environment(self.preload),
                start_new_session=True,
            )
            assert self._server.stdin is not None
            terms = {
                "path": packages(),
                "preload": self.preload,
                "readable": readable(),
                "longest": self.longest,
                "seconds": self.seconds,
                "memory": self.memory,
                "disk": self.disk,
                "weaker": self.weaker,
            }
            self._server.stdin.write(json.dumps(terms).encode() + b"\n")
        return self._server

    def _stop(self) -> None:
        if self._server is not None and self._owner == os.getpid():
            self._server.kill()
            self._server.communicate()
        self._server = None

    def close(self) -> None:
        """End the server; the next run starts another."""
        with self._lock:
            self._stop()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_server")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.Lock(), "_server": None}


def environment(preload: Sequence[str]) -> dict[str, str]:
    """Nothing of ours: a plain path, one thread, a picture backend without a screen."""
    names = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MPLBACKEND": "agg"}
    if any(name.split(".")[0] == "matplotlib" for name in preload):
        from matplotlib import get_cachedir

        # Read by the server alone, before anything is run: so the list of fonts is not made anew.
        names["MPLCONFIGDIR"] = get_cachedir()
    return names | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def packages() -> list[str]:
    """Where installed packages lie."""
    return list(
        dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()])
    )


def readable() -> list[str]:
    """Every path that can be read inside."""
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), sys.base_prefix + "/lib"]
    return list(dict.fromkeys([*SYSTEM, *library, *packages()]))


def _content(path: Path) -> bytes | None:
    """A regular file the code has left; never what a link of it points to."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def removed(top: Path) -> None:
    """Remove a folder, however deep: what lies in a folder of it is moved up before that is removed."""
    folders, names = [str(top)], count()
    while folders:
        folder = folders.pop()
        for entry in list(os.scandir(folder)):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            folders.append(f"{top}/{next(names)}")
            os.rename(entry.path, folders[-1])
        if folder != str(top):
            os.rmdir(folder)
    os.rmdir(top)
