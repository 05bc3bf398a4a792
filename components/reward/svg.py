"""Drawings in SVG by what they look like."""

from __future__ import annotations

import re
from math import sqrt

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.code import fenced
from vlmloom.components.reward.pictures import closeness, gained, structure
from vlmloom.components.sandbox.vector import NotDrawn, drawn
from vlmloom.registry import register


@register("reward/svg")
class Svg(Verifier):
    """A drawing in SVG beside the gold one, both drawn by resvg inside the code sandbox.

    `structure` is structural similarity and `closeness` 1 - the mean difference of the pixels, each
    counted from what an empty sheet gets (0) to the same picture (1); the value is their geometric mean,
    so that a sheet of one colour is worth nothing. The gold drawing is `sample.answer`;
    `truth["viewport"]` is (width, height).
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """Draw both and compare."""
        width, height = sample.truth.get("viewport", (128, 128))
        gold = drawn(sample.answer, width, height)
        # Where comments end nowhere, each `<!--` would be looked behind to the end.
        head, end, tail = fenced(response, "svg").rpartition("-->")
        answer = re.sub("<!--.*?-->", "", head + end, flags=re.S) + tail
        found = re.search(r"<svg\b.*</svg>", answer, re.S)
        if not found:
            return Reward(0.0, reason="no <svg>...</svg>")
        try:
            picture = drawn(found[0], width, height)
        except NotDrawn as error:
            return Reward(0.0, reason=f"could not be drawn: {error}")
        parts = {"structure": gained(structure, picture, gold), "closeness": gained(closeness, picture, gold)}
        reason = ", ".join(f"{key} {value:.2f}" for key, value in parts.items())
        return Reward(sqrt(parts["structure"] * parts["closeness"]), parts, reason)
