"""A processor's files as settings of our tower, and back: `picture_settings`, `processor_files`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmloom.assemblies.native.families.settings import ABSENT, dig, row_differs
from vlmloom.assemblies.native.families.values import short
from vlmloom.components.contracts.visuals import CLIP_MEAN, CLIP_STD, PatchSpec
from vlmloom.pipelines.weights.shards import read_json
from vlmloom.registry.errors import UserError

SAMPLING = {
    "Glm4vVideoProcessor": "glm4v",
    "Glm46VVideoProcessor": "glm46v",
    "Glm5NextVideoProcessor": "glm5_next",
}
"""The rule by which each of transformers' processors takes frames of a video."""
COMPUTED = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "rescale_factor": 1 / 255,
    "resample": 3,
}
"""Settings of a processor that have to be as pictures are cut here, where they stand; 3 is bicubic."""
SIZES = {
    "patch_size": "vision.patch",
    "temporal_patch_size": "vision.temporal",
    "merge_size": "projector.block",
}
"""Settings of a processor that have to be those of the model, and our places of these."""
TOGETHER = "processor_config.json"
FILES = {
    "image": ("preprocessor_config.json", "image_processor"),
    "video": ("video_preprocessor_config.json", "video_processor"),
}
"""Where it stands what is done with pictures and with videos: in a file, or under a key of `TOGETHER`."""
DEFAULTS = {
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
}
"""What a processor does where its file does not say it."""
DARKEST, BRIGHTEST = 1e-6, 255.0
"""Bounds of a channel's deviation, and of its mean."""


def picture_settings(folder: Path, assembly: Mapping[str, Any]) -> dict[str, Any]:
    """`resize`, `mean`, `std` and `sampling`, as far as the checkpoint's files say them.

    Args:
        folder: of the checkpoint.
        assembly: its model, whose patches the processor has to cut.

    Raises:
        UserError: a file is no JSON, or holds a value by which no picture is cut here.
    """
    image, video = (_part(folder, *of) for of in FILES.values())
    for path, part in (image, video):
        _check(path, part, COMPUTED | _sizes(assembly))
    if video[1].get("video_processor_type") == "Glm4vVideoProcessor":
        _check(*video, {"fps": 2, "max_duration": 300})
    _check(*video, {key: image[1][key] for key in ("image_mean", "image_std") if image[1].get(key)})
    found: dict[str, Any] = {}
    resize = {
        name: budget for name, part in (("still", image), ("clip", video)) if (budget := _budget(*part))
    }
    if resize:
        found["resize"] = resize
    for ours, theirs, least in (("mean", "image_mean", -BRIGHTEST), ("std", "image_std", DARKEST)):
        if (channels := _channels(*image, theirs, least)) is not None:
            found[ours] = channels
    if (rule := _sampling(*video)) is not None:
        found["sampling"] = rule
    return found


def processor_files(spec: PatchSpec, beside: Path | None) -> dict[str, dict[str, Any]]:
    """The processor's files that have to be written so that pictures are cut as a tower wants them, by name.

    Args:
        spec: of the tower.
        beside: the folder of those that go along; what they say already is left as it is.

    Returns:
        None at all where no processor of transformers cuts so: sizes have to be by `resize` without `pad`.
    """
    if spec.resize is not None and spec.resize.pad:
        return {}
    cut = {
        "patch_size": spec.patch,
        "temporal_patch_size": spec.temporal,
        "merge_size": spec.block,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
    kind = "Glm4v" if spec.sampling == "glm4v" else "Glm46V"
    held = {
        name: (Path(TOGETHER), {}) if beside is None else _part(beside, *of) for name, of in FILES.items()
    }
    new = not any(part for _, part in held.values())
    found: dict[str, dict[str, Any]] = {}
    for name, (path, part) in held.items():
        if (new and spec.resize is None) or not (new or part):
            continue
        says = dict(cut)
        if spec.resize is not None:
            pixels = spec.resize.still if name == "image" else spec.resize.clip
            says["size"] = dict(zip(("shortest_edge", "longest_edge"), pixels, strict=True))
        if name == "video" and (new or (_sampling(path, part) or "all") != spec.sampling):
            says["do_sample_frames"] = spec.sampling != "all"
            for named in (one for one, rule in SAMPLING.items() if rule == spec.sampling):
                says["video_processor_type"] = named
        if not new and all(
            not row_differs(part.get(key, DEFAULTS.get(key)), one) for key, one in says.items()
        ):
            continue
        part = {f"{name}_processor_type": f"{kind}{name.capitalize()}Processor"} | part | says
        if path.name == TOGETHER:
            both = read_json(path) if path.is_file() else {"processor_class": f"{kind}Processor"}
            part = (found.get(TOGETHER) or both) | {f"{name}_processor": part}
        found[path.name] = part
    return found


def _sampling(path: Path, part: Mapping[str, Any]) -> str | None:
    """The rule by which frames of a video are taken; None where nothing is said."""
    named, some = part.get("video_processor_type"), part.get("do_sample_frames")
    if some is not None and not isinstance(some, bool):
        raise UserError(f"{path}: do_sample_frames is {short(some)}; true or false would be right")
    if named is not None and (not isinstance(named, str) or named not in SAMPLING):
        raise UserError(
            f"{path}: video_processor_type is {short(named)}; only {', '.join(SAMPLING)} are computed here"
        )
    return "all" if some is False else SAMPLING[named] if named is not None else None


def _part(folder: Path, alone: str, name: str) -> tuple[Path, dict[str, Any]]:
    """What is said of one kind of item, and in which file."""
    path, both = folder / alone, folder / TOGETHER
    if path.is_file():
        return path, read_json(path)
    inner = read_json(both).get(name) if both.is_file() else None
    return both, inner if isinstance(inner, dict) else {}


def _sizes(assembly: Mapping[str, Any]) -> dict[str, int]:
    found = {theirs: dig(assembly, ours) for theirs, ours in SIZES.items()}
    return {theirs: size for theirs, size in found.items() if size is not ABSENT}


def _check(path: Path, part: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """See that a processor does nothing that is not done here."""
    for key, right in wanted.items():
        found = part.get(key)
        if found is not None and row_differs(found, right):
            raise UserError(f"{path}: {key} is {short(found)}; only {short(right)} is computed here")


def _budget(path: Path, part: dict[str, Any]) -> list[int] | None:
    """The least and the most pixels of an item; None where sizes are given in another way."""
    size = part.get("size")
    if not isinstance(size, dict) or not {"shortest_edge", "longest_edge"} <= size.keys():
        return None
    least, most = size["shortest_edge"], size["longest_edge"]
    if not all(type(edge) is int for edge in (least, most)) or not 1 <= least <= most:
        raise UserError(f"{path}: size is {short(size)}; the least and the most pixels would be right")
    return [least, most]


def _channels(path: Path, part: dict[str, Any], key: str, least: float) -> list[float] | None:
    """A number for each of red, green and blue; None where nothing is said."""
    found = part.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or [type(one) in (int, float) for one in found] != [True] * 3:
        raise UserError(f"{path}: {key} is {short(found)}; three numbers would be right")
    if not all(least <= one <= BRIGHTEST for one in found):
        raise UserError(f"{path}: {key} is {short(found)}; three from {least} to {BRIGHTEST} would be right")
    return found
