"""The inside of the code sandbox: a script of the standard library alone, run by `python -I -S`.

It reads orders from its standard input, a line of JSON each, and forks for every one. The child reads the
code, which follows the line, locks itself in and runs it; this process never sees any code, so that there is
none in the memory that a child inherits (a gold answer, say), and what it has imported beforehand is paid
for once. Locked in means: resource limits; no capabilities; Landlock, so that only the interpreter, its
packages and the shared libraries can be read and only the working folder written; and seccomp, so that
there are no sockets, no further processes, no signals, and no changes of owner or mode, which Landlock
leaves open.

Reference: landlock(7), seccomp(2).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import resource
import signal
import stat
import struct
import sys
import time
import traceback
from typing import IO, Any

Order = dict[str, Any]

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine -> its audit number, and its column in `REFUSED`."""

REFUSED = {
    "socket": (41, 198), "socketpair": (53, 199), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "connect": (42, 203), "sendto": (44, 206),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "truncate": (76, 45), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "acct": (163, 89), "quotactl": (179, 60),
    "iopl": (172, None), "ioperm": (173, None), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "inotify_init": (253, None), "inotify_init1": (294, 26),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "ioprio_set": (251, 30), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "memfd_create": (319, 279),
    "setsid": (112, 157), "setpgid": (109, 154),
}  # fmt: skip
"""System call -> its number on x86_64 and on aarch64; None where it does not exist."""

CLONE, CLONE3, PRLIMIT, FCNTL = (56, 220), (435, 435), (302, 261), (72, 25)
OWNED = (8, 15, 10)
"""F_SETOWN, F_SETOWN_EX and F_SETSIG of fcntl, by which a pipe would send a signal to another process."""
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
CLONE_THREAD = 0x00010000
DEEPEST = 2000
"""Letters of a path, of the 4095 that the kernel takes."""
READ_FILE, READ_DIR, EXECUTE = 1 << 2, 1 << 3, 1 << 0
libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, value: int) -> int:
    if value < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return value


def seccomp() -> None:
    """Refuse the system calls of `REFUSED` for good; threads stay possible, processes do not.

    Raises:
        OSError: the kernel or the machine does not have it.
    """
    if platform.machine() not in ARCHITECTURES:
        raise OSError(0, f"seccomp: no table of system calls for {platform.machine()}")
    audit, column = ARCHITECTURES[platform.machine()]

    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    load, equal, at_least, bits, end = 0x20, 0x15, 0x35, 0x45, 0x06
    program = [step(load, 4), step(equal, audit, 1), step(end, KILL), step(load, 0)]
    if column == 0:  # the x32 calls have other numbers
        program += [step(at_least, 0x40000000, 0, 1), step(end, KILL)]
    program += [step(equal, CLONE3[column], 0, 1), step(end, ENOSYS)]
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            program += [step(equal, number, 0, 1), step(end, EPERM)]
    first, second, third = OWNED
    program += [step(equal, FCNTL[column], 0, 6), step(load, 24), step(equal, first, 3)]
    program += [step(equal, second, 2), step(equal, third, 1), step(end, ALLOW), step(end, EPERM)]
    program += [step(equal, PRLIMIT[column], 0, 4), step(load, 16), step(equal, 0, 1), step(end, EPERM)]
    program += [step(end, ALLOW)]
    program += [step(equal, CLONE[column], 0, 3), step(load, 16), step(bits, CLONE_THREAD, 1)]
    program += [step(end, EPERM), step(end, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(program))
    filters = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    _call("no new privileges", libc.prctl(38, 1, 0, 0, 0))
    _call("seccomp", libc.prctl(22, 2, filters, 0, 0))


def landlock(readable: list[str], folder: str) -> None:
    """Read beneath `readable` and write beneath `folder` alone; neither TCP nor signals to others.

    Raises:
        OSError: the kernel does not have it, or has it switched off.
    """
    version = _call("landlock", libc.syscall(444, None, ctypes.c_size_t(0), 1))
    files = (1 << (13 if version == 1 else 14 if version == 2 else 15 if version < 5 else 16)) - 1
    rules = struct.pack("QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    rules = rules[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call("landlock", libc.syscall(444, rules, ctypes.c_size_t(len(rules)), 0))
    for path, rights in [*((path, READ_FILE | READ_DIR | EXECUTE) for path in readable), (folder, files)]:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= ~READ_DIR
        # A special file (/dev/null) may be opened for writing too.
        if stat.S_ISCHR(os.fstat(handle).st_mode):
            rights |= 1 << 1
        beneath = struct.pack("=Qi", rights, handle)
        _call(f"landlock of {path}", libc.syscall(445, ruleset, 1, beneath, 0))
        os.close(handle)
    _call("no new privileges", libc.prctl(38, 1, 0, 0, 0))
    _call("landlock", libc.syscall(446, ruleset, 0))
    os.close(ruleset)


def limits(order: Order) -> None:
    """CPU seconds, address space, size of a file, open files; no core files."""
    seconds = int(order["seconds"]) + 1
    for what, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, order["memory"]),
        (resource.RLIMIT_FSIZE, order["disk"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (limit, limit))


def drop_capabilities() -> None:
    """None, whoever started this."""
    header = struct.pack("=Ii", 0x20080522, 0)
    _call("capabilities", libc.capset(header, bytes(24)))


def lock_in(order: Order) -> list[str]:
    """All guards; gives back what is missing here.

    Raises:
        OSError: something is missing, and the order does not allow that.
    """
    missing = []
    limits(order)
    for guard in (
        lambda: landlock(order["readable"], order["folder"]),
        drop_capabilities,
        seccomp,
    ):
        try:
            guard()
        except OSError as error:
            if not order["weaker"]:
                raise
            missing.append(str(error.strerror))
    return missing


def obey(order: Order, results: int, locked: int) -> None:
    """Lock in and say so, run the code, and write what became of it; the child's whole life."""
    answer: dict[str, Any] = {"values": [], "error": ""}
    try:
        os.chdir(order["folder"])
        for name in ("HOME", "TMPDIR", "MPLCONFIGDIR"):
            os.environ[name] = order["folder"]
        try:
            state = {"missing": lock_in(order), "refused": ""}
        except OSError as error:
            state = {"missing": [], "refused": str(error.strerror)}
        # Said and closed before the first line of the code, which so cannot say it.
        os.write(locked, json.dumps(state).encode())
        os.close(locked)
        if state["refused"]:
            return
        names: dict[str, Any] = {"__name__": "__main__"}
        for place, source in enumerate(order["sources"]):
            exec(compile(source, f"<answer {place}>" if place else "<answer>", "exec"), names)
        answer["values"] = [repr(eval(call, names))[: order["longest"]] for call in order["calls"]]
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        where = f" (line {last[0].lineno})" if last and last[0].filename.startswith("<answer") else ""
        answer["error"] = f"{type(error).__name__}: {str(error)[:500]}{where}"
    finally:
        os.write(results, json.dumps(answer).encode())
        sys.stdout.flush()


def code_of(orders: IO[bytes], size: int) -> Order:
    """The sources and calls, so many bytes of JSON."""
    pieces = bytearray()
    while len(pieces) < size and (piece := orders.read(size - len(pieces))):
        pieces += piece
    code: Order = json.loads(pieces)
    return code


def size_of(folder: str) -> int:
    """Bytes in a folder, with a block for each entry, and 16 for one that is a folder, which takes its time.

    `sys.maxsize` where it is too deep to be measured, or closed.
    """
    total, folders = 0, [folder]
    while folders:
        if len(inner := folders.pop()) > DEEPEST:
            return sys.maxsize
        try:
            for entry in os.scandir(inner):
                total += 4096
                if entry.is_dir(follow_symlinks=False):
                    total += 15 * 4096
                    folders.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
        except FileNotFoundError:
            continue
        except OSError:
            return sys.maxsize
    return total


def attend(child: int, order: Order) -> tuple[str, bool]:
    """Wait for the child, and end it where it overruns.

    Says how it ended, nothing where it ended well, and whether its time (wall or processor) was over.
    """
    start, pause, stopped, late = time.monotonic(), 0.0005, "", False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if not stopped:
            if late := time.monotonic() - start > order["seconds"]:
                stopped = f"ran longer than {order['seconds']:g} s"
            elif pause >= 0.01 and (size := size_of(order["folder"])) > order["disk"]:
                stopped = f"wrote more than {order['disk']:,} bytes"
                stopped = "made folders that cannot be measured" if size == sys.maxsize else stopped
            if stopped:
                os.kill(child, signal.SIGKILL)
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
    code = os.waitstatus_to_exitcode(status)
    if stopped or code == 0:
        return stopped, late
    return f"ended by signal {-code}" if code < 0 else f"ended with status {code}", code == -signal.SIGXCPU


def main() -> None:
    """Serve orders until the input ends."""
    libc.prctl(1, signal.SIGKILL)
    # Without a buffer, which would take in the code behind a line.
    orders = open(0, "rb", buffering=0, closefd=False)
    terms = json.loads(orders.readline())
    sys.path += terms["path"]
    for name in terms["preload"]:
        importlib.import_module(name)
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for line in orders:
        order = terms | json.loads(line)
        results = os.open(order["results"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        printed = os.open(order["printed"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        told, locked = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            libc.prctl(1, signal.SIGKILL)
            order |= code_of(orders, order["size"])
            for handle, target in ((nothing, 0), (printed, 1), (printed, 2)):
                os.dup2(handle, target)
            os.close(replies)
            sys.stdin = open(os.devnull, encoding="utf-8")
            try:
                obey(order, results, locked)
            finally:
                os._exit(0)
        for handle in (results, printed, locked):
            os.close(handle)
        with os.fdopen(told, "rb") as state:
            reply = json.loads(state.read())
        reply["stopped"], reply["overran"] = attend(child, order)
        os.write(replies, json.dumps(reply).encode() + b"\n")


if __name__ == "__main__":
    main()
