"""Features of a teacher, computed once a picture and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.frozen import Frozen
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import SharedSpace, Teacher
from vlmloom.components.contracts.visuals import Grid, VisualFeatures, Visuals
from vlmloom.registry import register

Features = dict[str, Tensor]


@register("teacher/cached")
class Cached(Teacher):
    """Another teacher that sees no picture twice: its features are kept, by picture and by weights.

    The key of an item is a digest of its patches as the teacher receives them, of their order, of all the
    teacher's weights, and of its options that are in neither: another picture, cut, checkpoint or option is
    another entry, and nothing has to be thrown away by hand. An entry is written beside its place and moved
    there, so processes that share the folder read whole entries or none; one that cannot be read is made
    again.

    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build
    >>> inner = {"use": "teacher/timm", "model": "resnet10t", "weights": None, "size": 64}
    >>> with TemporaryDirectory() as folder:
    ...     teacher = build({"use": "teacher/cached", "teacher": inner, "folder": folder})
    ...     seen = [teacher(Visuals.noise([(1, 2, 2)] * 3, patch=32))[0].tokens for _ in range(2)]
    >>> teacher.computed, torch.equal(*seen)
    (3, True)
    """

    def __init__(
        self,
        *,
        teacher: Teacher,
        folder: str,
        memory: int = 512,
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
    ) -> None:
        """Take the teacher.

        Args:
            teacher: whose features are kept.
            folder: where; it is made if it is not there.
            memory: MiB of entries that are held in memory, the latest used.
            dtype: of what is kept; the first time a picture is seen its features are rounded to it, too.

        Raises:
            ValueError: memory is negative, or the folder is a file.
        """
        super().__init__()
        if memory < 0:
            raise ValueError(f"teacher/cached: memory is {memory}; 0 or more MiB would be right")
        if Path(folder).is_file():
            raise ValueError(f"teacher/cached: folder {folder!r} is a file; a folder would be right")
        self.teacher = Frozen(teacher)
        self.out_width, self.patch_spec = teacher.out_width, teacher.patch_spec
        self.pretrained = teacher.pretrained
        self.folder, self.kept_as = Path(folder), getattr(torch, dtype)
        self.room, self.held = memory * 2**20, 0
        self.recent: OrderedDict[str, Features] = OrderedDict()
        self.computed = 0
        self._name: str | None = None

    def weights(self) -> dict[str, Tensor]:
        """See `Teacher.weights`."""
        return self.teacher.module.weights()

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return self.teacher.module.options()

    @torch.no_grad()
    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """The teacher's features; those of pictures it has not seen are computed, in one batch."""
        if taps:
            raise ValueError("teacher/cached keeps the last layer alone, but taps were asked for")
        counts = [frames * rows * columns for frames, rows, columns in visuals.shapes]
        patches = list(visuals.patches.split(counts))
        keys = [
            self._key(own, shape, visuals.block) for own, shape in zip(patches, visuals.shapes, strict=True)
        ]
        found = {key: self._recall(key) for key in dict.fromkeys(keys)}
        missing = {key: place for place, key in enumerate(keys) if found[key] is None}
        if missing:
            found |= self._compute(visuals, patches, missing)
        device = visuals.patches.device
        entries = [found[key] for key in keys]
        tokens, pooled = (
            [entry[name].to(device, torch.float32) for entry in entries if entry and name in entry]
            for name in ("tokens", "pooled")
        )
        shapes = self.token_grids(visuals.shapes)
        joined = torch.stack(pooled) if pooled else None
        return VisualFeatures(torch.cat(tokens), shapes, visuals.block, pooled=joined), {}

    def _compute(
        self, visuals: Visuals, patches: list[Tensor], missing: dict[str, int]
    ) -> dict[str, Features]:
        places = list(missing.values())
        shapes = [visuals.shapes[place] for place in places]
        batch = Visuals(
            torch.cat([patches[place] for place in places]),
            visuals.grids[torch.tensor(places, device=visuals.grids.device)],
            shapes,
            visuals.block,
        )
        features, _ = self.teacher.module(batch)
        self.computed += len(places)
        counts = [frames * rows * columns for frames, rows, columns in features.shapes]
        made = {}
        for row, (key, tokens) in enumerate(zip(missing, features.tokens.split(counts), strict=True)):
            entry = {"tokens": tokens.to("cpu", self.kept_as).contiguous()}
            if features.pooled is not None:
                entry["pooled"] = features.pooled[row].to("cpu", self.kept_as).contiguous()
            self._write(key, entry)
            made[key] = self._hold(key, entry)
        return made

    def _key(self, patches: Tensor, shape: Grid, block: int) -> str:
        if self._name is None:
            options = self.options()
            told = " " + json.dumps(options, sort_keys=True, default=str) if options else ""
            self._name = digest_of(self.weights()) + told
        stamp = f"{self._name} {shape} {block} {self.patch_spec} {self.kept_as} {patches.dtype}".encode()
        digest = hashlib.blake2b(stamp, digest_size=20)
        digest.update(_bytes(patches))
        return digest.hexdigest()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _recall(self, key: str) -> Features | None:
        if key in self.recent:
            self.recent.move_to_end(key)
            return self.recent[key]
        try:
            return self._hold(key, load_file(self._path(key)))
        except (FileNotFoundError, SafetensorError):
            return None

    def _hold(self, key: str, entry: Features) -> Features:
        self.recent[key] = entry
        self.held += _size(entry)
        while self.held > self.room and len(self.recent) > 1:
            self.held -= _size(self.recent.popitem(last=False)[1])
        return entry

    def _write(self, key: str, entry: Features) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(handle)
        try:
            save_file(entry, part)
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The teacher's grids."""
        return self.teacher.module.token_grids(grids)

    def flops(self, grids: Sequence[Grid]) -> int:
        """The teacher's forward FLOPs, as if nothing were kept."""
        return self.teacher.module.flops(grids)

    def shared_space(self) -> SharedSpace | None:
        """The teacher's."""
        return self.teacher.module.shared_space()

    def shapes(self, spec: Spec) -> Spec:
        """The teacher's shapes."""
        return self.teacher.module.shapes(spec)


def digest_of(weights: dict[str, Tensor]) -> str:
    """A digest of tensors and their names."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _size(entry: Features) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in entry.values())
