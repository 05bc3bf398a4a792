"""How a released checkpoint's processor cuts pictures, as settings of our tower: `picture_settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmloom.pipelines.weights.shards import read_json

SAMPLING = {
    "Glm4vVideoProcessor": "glm4v",
    "Glm46VVideoProcessor": "glm46v",
    "Glm5NextVideoProcessor": "glm5_next",
}
"""The rule by which each of transformers' processors takes frames of a video."""


def picture_settings(folder: Path) -> dict[str, Any]:
    """`resize`, `mean`, `std` and `sampling`, as far as the checkpoint's files say them.

    They stand in preprocessor_config.json and video_preprocessor_config.json, or together in
    processor_config.json.

    Raises:
        UserError: a file is no JSON.
    """
    image = _part(folder, "preprocessor_config.json", "image_processor")
    video = _part(folder, "video_preprocessor_config.json", "video_processor")
    found: dict[str, Any] = {}
    resize = {name: budget for name, part in (("still", image), ("clip", video)) if (budget := _budget(part))}
    if resize:
        found["resize"] = resize
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if isinstance(image.get(theirs), list) and len(image[theirs]) == 3:
            found[ours] = image[theirs]
    if (rule := SAMPLING.get(str(video.get("video_processor_type")))) is not None:
        found["sampling"] = rule
    return found


def _part(folder: Path, alone: str, name: str) -> dict[str, Any]:
    if (folder / alone).is_file():
        return read_json(folder / alone)
    both = read_json(folder / "processor_config.json") if (folder / "processor_config.json").is_file() else {}
    inner = both.get(name)
    return inner if isinstance(inner, dict) else {}


def _budget(part: dict[str, Any]) -> list[int] | None:
    size = part.get("size")
    if not isinstance(size, dict):
        return None
    edges = [size.get(f"{which}_edge") for which in ("shortest", "longest")]
    found = [edge for edge in edges if isinstance(edge, int)]
    return found if len(found) == 2 else None
