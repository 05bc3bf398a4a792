"""How a released checkpoint's processor cuts pictures, as settings of our tower: `picture_settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmloom.assemblies.native.families.settings import ABSENT, dig, row_differs
from vlmloom.assemblies.native.families.values import short
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
DARKEST, BRIGHTEST = 1e-6, 255.0
"""Bounds of a channel's deviation, and of its mean."""


def picture_settings(folder: Path, assembly: Mapping[str, Any]) -> dict[str, Any]:
    """`resize`, `mean`, `std` and `sampling`, as far as the checkpoint's files say them.

    They stand in preprocessor_config.json and video_preprocessor_config.json, or together in
    processor_config.json.

    Args:
        folder: of the checkpoint.
        assembly: its model, whose patches the processor has to cut.

    Raises:
        UserError: a file is no JSON, or holds a value by which no picture is cut here.
    """
    image = _part(folder, "preprocessor_config.json", "image_processor")
    video = _part(folder, "video_preprocessor_config.json", "video_processor")
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
    if (rule := SAMPLING.get(str(video[1].get("video_processor_type")))) is not None:
        found["sampling"] = rule
    return found


def _part(folder: Path, alone: str, name: str) -> tuple[Path, dict[str, Any]]:
    """What is said of one kind of item, and in which file."""
    path, both = folder / alone, folder / "processor_config.json"
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
