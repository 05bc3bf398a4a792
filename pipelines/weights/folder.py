"""A folder of safetensors shards, checked before anything of it is used: `open_shards`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vlmloom.pipelines.folders import INDEX
from vlmloom.pipelines.folders import WEIGHTS as SINGLE
from vlmloom.pipelines.weights.shards import Shards, Stored, read_header, read_json, sha256
from vlmloom.registry.errors import UserError

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def open_shards(folder: Path) -> Shards:
    """The weights of a folder: one `model.safetensors`, or an index and its shards.

    Files whose checksum is known are read through once (see `checksums`).

    Raises:
        UserError: there are none, a file is missing or damaged, or the index and the files disagree.
    """
    single, index = folder / SINGLE, folder / INDEX
    if own_file(single) and own_file(index):
        raise UserError(f"{folder}: holds both {SINGLE} and {INDEX}; take away the one that is not meant")
    placed: dict[str, str] | None = None
    metadata: dict[str, Any] = {}
    if own_file(single):
        files = [SINGLE]
    elif own_file(index):
        placed, metadata = _index(index)
        files = list(dict.fromkeys(placed.values()))
    else:
        raise UserError(_without_weights(folder))
    lost = [name for name in files if not own_file(folder / name)]
    if lost:
        raise UserError(f"{folder}: {len(lost)} of {len(files)} shards missing: {', '.join(lost)}")
    stored: dict[str, Stored] = {}
    for name in files:
        for tensor, one in read_header(folder / name).items():
            if tensor in stored:
                raise UserError(f"{folder}: {tensor} lies in both {stored[tensor].file.name} and {name}")
            if placed is not None and placed.get(tensor) != name:
                says = f"in {placed[tensor]}" if tensor in placed else "nowhere"
                raise UserError(f"{index}: {tensor} lies in {name}, but the index has it {says}")
            stored[tensor] = one
    if placed is not None and (lost := [tensor for tensor in placed if tensor not in stored]):
        raise UserError(f"{index}: names what its shards do not hold: {', '.join(lost)}")
    return Shards(stored, [name for name in files if not verify(folder, name, metadata)])


def own_file(path: Path) -> bool:
    """Whether there is such a file, in its folder or where the hub's cache keeps what links lead to.

    That cache holds `snapshots/REVISION/NAME` as links to `blobs/DIGEST` beside `snapshots`.

    Raises:
        UserError: a link leads anywhere else.
    """
    try:
        folder, real = path.parent.resolve(), path.resolve()
    except (OSError, RuntimeError):  # A link to itself.
        return False
    root = folder.parents[1] if folder.parent.name == "snapshots" else folder
    if not real.is_relative_to(root):
        raise UserError(f"{path}: is a link out of its folder, to {real}; the file itself would be right")
    return real.is_file()


def _index(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Tensor -> file, and the metadata."""
    found = read_json(path)
    placed, metadata = found.get("weight_map"), found.get("metadata") or {}
    if not isinstance(placed, dict) or not placed or not isinstance(metadata, dict):
        raise UserError(f"{path}: has no weight_map of tensors to files")
    if odd := next((tensor for tensor in placed if not tensor.isprintable()), None):
        raise UserError(f"{path}: names a tensor {odd!r}; a name on one line would be right")
    for tensor, name in placed.items():
        if (
            not isinstance(name, str)
            or not re.fullmatch(r"[\w.-]+\.safetensors", name)
            or name.startswith(".")
        ):
            raise UserError(
                f"{path}: puts {tensor!r} into {name!r}; "
                "the plain name of a .safetensors file beside it would be right"
            )
    return placed, metadata


def _without_weights(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder}: {'is no folder' if folder.exists() else 'is not there'}; a checkpoint is a folder"
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled:
        return (
            f"{folder}: holds pickled weights ({pickled[0]}), which can run code when they are read; load "
            "them where you trust them and save them as safetensors (model.save_pretrained of transformers)"
        )
    return f"{folder}: holds no weights; {SINGLE}, or {INDEX} with its shards, would be right"


def verify(folder: Path, name: str, metadata: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Compare a file with its checksum; whether one is known (see `checksums`).

    Raises:
        UserError: it is another.
    """
    known = list(checksums(folder, name, metadata))
    for source, wanted in known:
        if (found := sha256(folder / name)) != wanted:
            raise UserError(
                f"{folder / name}: is damaged: its SHA-256 is {found[:12]}..., "
                f"where {source} has {wanted[:12]}..."
            )
    return bool(known)


def checksums(folder: Path, name: str, metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Known SHA-256 digests of a file and where they stand: the first source of these that speaks of it.

    The index (which we write), `NAME.sha256` or `SHA256SUMS` beside it, and what the hub's client notes of
    large files: the name of the blob that a link leads to, or the etag of a download.
    """
    digests = metadata.get("sha256")
    known = digests.get(name) if isinstance(digests, dict) else None
    if isinstance(known, str):
        yield INDEX, known
        return
    for sidecar in (folder / f"{name}.sha256", folder / "SHA256SUMS"):
        if sidecar.is_file():
            for line in sidecar.read_text(encoding="utf-8", errors="replace").splitlines():
                digest, _, of = line.strip().partition(" ")
                if _is_digest(digest) and of.strip().lstrip("*") in (
                    (name, "") if sidecar.suffix else (name,)
                ):
                    yield sidecar.name, digest.lower()
                    return
    blob = (folder / name).resolve().name
    if _is_digest(blob):
        yield "the name of its blob", blob
        return
    note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    if note.is_file():
        lines = note.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) > 1 and _is_digest(lines[1].strip()):
            yield "the note of its download", lines[1].strip().lower()


def _is_digest(text: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F]{64}", text) is not None
