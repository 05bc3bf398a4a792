"""Files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from vlmloom.registry.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to disk, and only then give it its name.

    Raises:
        UserError: the disk is full, the folder cannot be written, or `path` is something else than a file;
            nothing is left behind.
    """
    path = open_file(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write(part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (OSError, RuntimeError, SafetensorError) as fault:
        # torch's writer tells of a full disk by a place in its archive, while it handles the real error.
        told = fault.__context__ if isinstance(fault.__context__, OSError) else fault
        raise UserError(
            f"{path}: could not be written ({told}); free space or another --out would be right"
        ) from fault
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Hold a folder that one process writes to, and first remove what killed ones left half-written in it.

    Where another process has it, or the disk knows no locks, nothing is removed and all goes on as it would.
    """
    with held(folder) as mine:
        if mine:
            for part in folder.rglob(".*.????????.part"):
                if part.is_file():
                    part.unlink(missing_ok=True)
        yield


@contextmanager
def held(folder: Path) -> Iterator[bool | None]:
    """Lock a folder: whether this process has it, or another one; None where the disk knows no locks.

    The lock ends with the process that holds it, however that ends.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine: bool | None = True
        except BlockingIOError:
            mine = False
        except OSError:
            mine = None
        yield mine
    finally:
        os.close(handle)


def open_file(path: Path) -> Path:
    """Where a file that is to be written lies, behind links; its folder is made where there is none.

    Raises:
        UserError: it is a folder or a device, or its folder cannot be written.
    """
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise UserError(f"{path}: is {what}; a file would be right")
    open_folder(path.parent)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def open_folder(folder: Path) -> Path:
    """Make a folder where there is none.

    Raises:
        UserError: something else has the name, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UserError(
            f"{folder}: cannot be a folder ({fault.strerror}); another --out would be right"
        ) from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: cannot be written; another --out would be right")
    return folder


def write_text(path: Path, text: str) -> None:
    """`write_atomically` of a text; halves of surrogate pairs, which UTF-8 has not, as escapes."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8", errors="backslashreplace"))


@contextmanager
def restored(folder: Path, worth: Callable[[], object], ours: Iterable[str] = ()) -> Iterator[None]:
    """Make a folder to be filled; if that fails before anything in it is of `worth`, all is as it was before.

    In a folder that others have put something into, nothing but what is named in `ours` is touched.

    Args:
        folder: to be filled.
        worth: whether what it holds is to be kept.
        ours: names of files and folders in it that may be made, overwritten or removed.

    Raises:
        UserError: it cannot be made or written.
    """
    names = set(ours)
    before = {*folder.rglob("*")} if folder.is_dir() else set()
    contents = {file: file.read_bytes() for name in names if (file := folder / name).is_file()}
    absent = _absent(folder)
    try:
        open_folder(folder)
        yield
    except BaseException:
        if not worth():
            # What cannot be removed is not what is to be told.
            with suppress(OSError):
                for path in sorted({*folder.rglob("*")} - before, reverse=True):
                    if before and path.relative_to(folder).parts[0] not in names:
                        continue
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
                for file, content in contents.items():
                    if not file.is_file() or file.read_bytes() != content:
                        file.write_bytes(content)
            _unmake(absent)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to be filled, which takes its name once all of it is written.

    Whatever goes wrong, SIGTERM included, all is then as it was. What a process that was killed outright
    has left of such a folder goes when the next one begins.

    Raises:
        UserError: `path` holds something already, another process is at it, or the disk is full or cannot be
            written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "holds files already" if path.is_dir() else "is a file"
        raise UserError(f"{path}: {what}; a folder that is empty or not there yet would be right")
    whole = path.absolute()
    part, absent = whole.with_name(f".{whole.name}.part"), _absent(whole.parent)
    try:
        with _terminable():
            part.mkdir(parents=True, exist_ok=True)
            with held(part) as mine:
                if mine is False:
                    raise UserError(f"{path}: another process is writing it; its end is to be waited for")
                try:
                    for left in part.iterdir():
                        shutil.rmtree(left) if left.is_dir() else left.unlink()
                    yield part
                    if whole.exists():
                        whole.rmdir()
                    os.replace(part, whole)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    except OSError as fault:
        raise UserError(
            f"{path}: could not be written ({fault.strerror or fault}); "
            "free space or another place would be right"
        ) from fault
    finally:
        _unmake(absent)


def _absent(folder: Path) -> list[Path]:
    """What is not there yet of a folder and those above it, the innermost first."""
    return [one for one in (folder.absolute(), *folder.absolute().parents) if not one.exists()]


def _unmake(folders: list[Path]) -> None:
    """Remove those folders, innermost first, that hold nothing."""
    with suppress(OSError):
        for one in folders:
            one.rmdir()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the main thread, as SIGINT does, instead of ending the process where it is."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
