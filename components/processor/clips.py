"""A clip in a prompt: one block of visual tokens a pair of frames, each with its time."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.processor.glm_template import Release

UNKNOWN_RATE = 24
"""Frames a second where a clip does not say when its frames were taken, as in the reference."""


def is_clip(picture: Picture) -> bool:
    """Whether a picture is written as a video: it has frames, or the time of its only one."""
    return picture.frames > 1 or len(picture.times) > 0


def stamps(picture: Picture, frames: int, release: Release) -> list[str]:
    """What is written behind each of the merged frames of a clip: when the first of its frames was taken.

    Args:
        picture: the clip.
        frames: merged frames.
        release: GLM-4.1V and GLM-4.5V write whole seconds, GLM-4.6V `1.5 seconds`.

    Raises:
        ValueError: there are not as many times as frames.

    Reference: transformers, models/glm4v/processing_glm4v.py and models/glm46v/processing_glm46v.py
    (replace_video_token).
    """
    times: Sequence[float] = picture.times or [frame / UNKNOWN_RATE for frame in range(picture.frames)]
    if len(times) != picture.frames:
        raise ValueError(f"{picture.key}: has {picture.frames} frames, but {len(times)} times")
    chosen = list(times[:: -(-len(times) // frames)])[:frames]
    chosen += [chosen[-1]] * (frames - len(chosen))
    return [f"{time:.1f} seconds" if release == "4.6v" else str(int(time)) for time in chosen]
