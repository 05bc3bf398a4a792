"""Prepared folders: made once, whole or not at all, checked when they are opened.

A folder is written beside its final place, synced, and renamed into it under a lock between processes. So a
process that is killed leaves only a `.part-` folder, which the next one removes; two that start at once
prepare once; and a full disk ends in one line with nothing left behind.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from vlmloom.components.media.cache_root import cache_root
from vlmloom.registry.errors import UserError

Tick = Callable[[int, int], None]
"""Called with (done, total) while something is prepared."""

MANIFEST = "manifest.json"


class CacheError(UserError):
    """The cache folder cannot be written; the message names it and says what would help."""


def prepared(name: str, settings: Mapping[str, Any], make: Callable[[Path, Tick], None]) -> Path:
    """The folder that `make` fills, made first where it is not there or does not match its checksums.

    Args:
        name: of the folder; a digest of the settings is appended.
        settings: everything that its content depends on, as JSON.
        make: fills an empty folder with plain files, telling its progress.

    Raises:
        CacheError: the cache folder cannot be written.
    """
    canonical = json.dumps(settings, sort_keys=True, default=str)
    folder = cache_root() / f"{name}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"
    if intact(folder):
        return folder
    with _explained(folder.parent, errno.ENOENT):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with _explained(folder.parent):
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not intact(folder):
                _make(name, folder, canonical, make)
    return folder


def intact(folder: Path) -> bool:
    """Whether a prepared folder is there and every file has its size and checksum."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all(_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(name: str, folder: Path, settings: str, make: Callable[[Path, Tick], None]) -> None:
    for stale in folder.parent.glob(f".part-{folder.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    if folder.exists():
        print(f"{folder}: does not match its checksums, making it again", file=sys.stderr)
        shutil.rmtree(folder)
    # The lock makes the name ours alone, and a plain mkdir lets whoever shares the cache read it.
    part = folder.parent / f".part-{folder.name}-{os.getpid()}"
    part.mkdir()
    try:
        with _progress(name) as tick:
            make(part, tick)
        files = {path.name: _digest(path) for path in sorted(part.iterdir())}
        manifest = {"settings": json.loads(settings), "files": files}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for path in part.iterdir():
            _sync(path)
        _sync(part)
        part.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems refuse to sync a folder; the rename is then as safe as they make it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


@contextmanager
def _explained(root: Path, *more: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what = "no space left"
        elif error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, *more):
            what = f"cannot be written ({error.strerror})"
        else:
            raise
        raise CacheError(
            f"cache folder {root}: {what}; free some space or set VLMLOOM_CACHE to another folder"
        ) from error


@contextmanager
def _progress(name: str) -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=False) as progress:
        task = progress.add_task(f"preparing {name}", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
