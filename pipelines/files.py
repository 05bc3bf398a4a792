"""Files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from vlmloom.registry.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, flush it to disk, and only then give it its name.

    Raises:
        UserError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    open_folder(path.parent)
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

    The lock on the folder ends with the process that holds it, however that ends. Where another process has
    it, or the disk knows no locks, nothing is removed and all goes on as it would.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for part in folder.rglob(".*.????????.part"):
                if part.is_file():
                    part.unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


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
    """`write_atomically` of a text."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to be filled, which takes its name once all of it is written.

    Whatever goes wrong, `path` is then as it was before.

    Raises:
        UserError: `path` holds something already, or the disk is full or cannot be written.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "holds files already" if path.is_dir() else "is a file"
        raise UserError(f"{path}: {what}; a folder that is empty or not there yet would be right")
    made: list[Path] = []
    part: Path | None = None
    try:
        for parent in reversed([one for one in path.absolute().parents if not one.exists()]):
            parent.mkdir()
            made.append(parent)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.absolute().parent))
        part.chmod(0o755)
        yield part
        if path.exists():
            path.rmdir()
        os.replace(part, path)
        made.clear()
    except OSError as fault:
        raise UserError(
            f"{path}: could not be written ({fault.strerror or fault}); "
            "free space or another place would be right"
        ) from fault
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()
