"""Packs of pictures at native aspect beside timm's NaFlex loader, alone and before the same tower."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.models import Shape
from benchmarks.timing import contests
from benchmarks.towers import build_tower, naflexvit
from vlmloom.components.contracts.intake import Towers
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.sample import Picture, Reward, Sample, Scene
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.contracts.visuals import PatchSpec
from vlmloom.components.vision.cogvit import CogViT
from vlmloom.pipelines.data.module import PackedData

GOALS = {"loader": 1.0, "loader and tower": 1.2}
Padded = tuple[dict[str, Any], Tensor]


@dataclass
class Held(Picture):
    """A picture in memory, uint8 `[height, width, 3]`."""

    pixels: np.ndarray
    key: str = ""

    def __post_init__(self) -> None:
        self.height, self.width = self.pixels.shape[:2]

    def render(self) -> np.ndarray:
        return self.pixels[None]


class Album(Suite):
    """Pictures in memory, round and round."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.tasks, self.pictures = {}, [Held(pixels) for pixels in pictures]

    def plan(self, split: str, index: int) -> Sample:
        return Sample("album", split, index, [self.pictures[index % len(self.pictures)]], "", Scene(""))

    def check(self, sample: Sample, response: str) -> Reward:
        return Reward(None, error="an album asks nothing")

    def splits(self) -> dict[str, list[str]]:
        return {}

    def prepare(self) -> None: ...

    def availability(self) -> dict[str, str]:
        return {}

    def text_corpus(self, items: int) -> Iterator[str]:
        return iter(())


class Labelled(Dataset):
    """The same pictures as timm's wrappers take them: a picture and a class of each."""

    def __init__(self, pictures: list[Any]) -> None:
        self.pictures, self.transform = pictures, None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = self.pictures[index]
        return picture if self.transform is None else self.transform(picture), 0


def draw(count: int, patch: int, sides: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """Pictures whose sides are whole numbers of patches, as many of each area as chance gives."""
    dice = np.random.default_rng(seed)
    shapes = patch * dice.integers(sides[0], sides[1] + 1, (count, 2))
    return [dice.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in shapes]


def packs(pictures: list[np.ndarray], spec: PatchSpec, budget: int) -> Callable[[], Iterable[Packed]]:
    """Our loader: packs of at most `budget` patches, until every picture has been given or waits."""
    data = PackedData(
        suite=Album(pictures),
        tokenizer=cast(Any, SimpleNamespace(vocab=0)),
        processor=cast(Any, lambda tokenizer: tokenizer),
        pack_tokens=budget,
    )
    data.connect(Towers({"vision": spec}, grids=list))
    areas = [rows * columns for _, rows, columns in (spec.grid(1, *own.shape[:2]) for own in pictures)]
    number = max(1, round(sum(areas) / budget))
    stage = SimpleNamespace(view="pictures", resolution=None, pack_tokens=None)
    return lambda: itertools.islice(data.loader(stage), number)


def timm_loader(
    pictures: list[Any], spec: PatchSpec, budget: int, longest: int, native: bool
) -> Iterable[Padded]:
    """Theirs: batches of `budget / longest` pictures, each padded to `longest` patches.

    `create_naflex_loader` brings every picture to `longest` patches; it has no word for the native size, so
    for that its parts are put together as it does, with a resize that does not enlarge.
    """
    from timm.data.naflex_dataset import NaFlexMapDatasetWrapper
    from timm.data.naflex_loader import NaFlexPrefetchLoader, create_naflex_loader
    from timm.data.naflex_transforms import ResizeToSequence
    from timm.data.transforms import MaybePILToTensor
    from torchvision.transforms import Compose

    data, device = Labelled(pictures), torch.device("cpu")
    if not native:
        return create_naflex_loader(
            data, patch_size=spec.patch, max_seq_len=longest, batch_size=budget // longest, num_workers=0,
            interpolation="bicubic", mean=spec.mean, std=spec.std, device=device, pin_memory=False,
            patchify_channels_last=False,
        )  # fmt: skip

    def transform(max_seq_len: int, patch_size: tuple[int, int]) -> Compose:
        resize = ResizeToSequence(cast(Any, patch_size), max_seq_len, max_ratio=1.0)
        return Compose([resize, MaybePILToTensor()])

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its schedule
        wrapped = NaFlexMapDatasetWrapper(
            data, patch_size=spec.patch, seq_lens=(longest,), max_tokens_per_batch=budget,
            transform_factory=transform, batch_divisor=1, shuffle=False,
            patchify_channels_last=False,
        )  # fmt: skip
    loader = DataLoader(wrapped, batch_size=None, num_workers=0)
    return NaFlexPrefetchLoader(loader, spec.mean, spec.std, device=device, patchify_channels_last=False)


def ours_seen(batches: Callable[[], Iterable[Packed]], tower: CogViT | None = None) -> None:
    """A turn of ours: every pack, and the tower on its flat patches."""
    with torch.inference_mode():
        for batch in batches():
            if tower is not None:
                tower(batch.visuals["vision"])


def theirs_seen(batches: Iterable[Padded], model: Any = None, key_mask: bool = False) -> None:
    """A turn of theirs: every batch, and the tower on its padded patches."""
    with torch.inference_mode():
        for batch, _ in batches:
            if model is not None:
                model.use_key_only_attn_mask = key_mask
                model.forward_features(
                    batch["patches"], patch_coord=batch["patch_coord"], patch_valid=batch["patch_valid"]
                )


def run(
    shape: Shape, repeats: int, count: int = 48, sides: tuple[int, int] = (4, 16), budget: int = 2048
) -> dict[str, Any]:
    """Pictures as they are, then all brought to the longest; each loaded, then seen by a tower as well."""
    from PIL import Image

    pictures = draw(count, shape.patch, sides)
    longest = sides[1] ** 2
    forms = {
        "from PIL": [Image.fromarray(pixels) for pixels in pictures],
        "from tensors": [torch.from_numpy(pixels).permute(2, 0, 1).contiguous() for pixels in pictures],
    }
    tower, _ = build_tower(shape)
    naflex = naflexvit(tower)
    tower.eval()
    naflex.eval()
    found, loads = [], {}
    for size, spec in {
        "native size": replace(tower.patch_spec, max_patches=longest),
        "equal size": replace(tower.patch_spec, min_patches=longest, max_patches=longest),
    }.items():
        batches = packs(pictures, spec, budget)
        theirs = {
            form: timm_loader(held, spec, budget, longest, native=size == "native size")
            for form, held in forms.items()
        }
        own = [batch.visuals["vision"] for batch in batches()]
        valid = [batch["patch_valid"] for batch, _ in theirs["from tensors"]]
        counts = {"ours": sum(len(visuals.shapes) for visuals in own), "theirs": count}
        real = {
            "ours": sum(len(visuals.patches) for visuals in own),
            "theirs": int(sum(mask.sum() for mask in valid)),
        }
        slots = {"ours": real["ours"], "theirs": sum(mask.numel() for mask in valid)}
        loads[size] = {
            "pictures": counts,
            "patches": real,
            "padding": {side: 1 - real[side] / slots[side] for side in real},
            "filled": {
                "ours": real["ours"] / len(own) / budget,
                "theirs": slots["theirs"] / len(valid) / budget,
            },
        }
        about = {"repeats": repeats, "count": counts, "unit": "pictures", "peer": "timm naflex"}
        loaded = contests(
            f"loader, {size}",
            {"packed, fp32": partial(ours_seen, batches)},
            {f"{form}, fp32": partial(theirs_seen, side) for form, side in theirs.items()},
            goals={"fp32": GOALS["loader"]},
            **about,
        )
        best = theirs[loaded[0]["best"]["theirs"].removesuffix(", fp32")]
        found += loaded + contests(
            f"loader and tower, {size}",
            {"packed, fp32": partial(ours_seen, batches, tower)},
            {
                "fp32": partial(theirs_seen, best, naflex),
                "keys masked, fp32": partial(theirs_seen, best, naflex, key_mask=True),
            },
            goals={"fp32": GOALS["loader and tower"]},
            **about,
        )
    return {"budget": budget, "longest": longest, "loads": loads, "contests": found}


def notes(found: dict[str, Any]) -> list[str]:
    lines = [
        f"{found['budget']} patches a batch on both sides, one process, no augmentation, the same pictures "
        f"in memory, normalised alike; the towers have equal weights (one forward, no gradients). Theirs "
        f"holds {found['budget'] // found['longest']} pictures padded to {found['longest']} patches.",
        "Native size: no picture is resized, so both give the same patches. Equal size: each brings every "
        f"picture to as many patches as fit into {found['longest']} by its own rule and bicubic kernel; this "
        "is what create_naflex_loader does, and it leaves little padding.",
    ]
    for size, load in found["loads"].items():
        pictures, patches, padding = load["pictures"], load["patches"], load["padding"]
        lines.append(
            f"{size}: ours {pictures['ours']} pictures of {patches['ours'] / pictures['ours']:.0f} patches, "
            f"{padding['ours']:.0%} padding, packs {load['filled']['ours']:.1%} full; theirs "
            f"{pictures['theirs']} of {patches['theirs'] / pictures['theirs']:.0f}, "
            f"{padding['theirs']:.0%} padding."
        )
    return lines
