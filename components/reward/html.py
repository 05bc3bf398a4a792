"""Pages by what they look like."""

from __future__ import annotations

from functools import lru_cache
from math import fsum
from pathlib import Path

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.blocks import apart, hue_likeness, joined, match, shared
from vlmloom.components.reward.code import fenced
from vlmloom.components.reward.pictures import learned, structure
from vlmloom.components.sandbox.browsers import BrowsersBusy, browsers
from vlmloom.components.sandbox.look import Look, look
from vlmloom.registry import register


@register("reward/html")
class Html(Verifier):
    """Design2Code's five terms for a page in HTML, rendered in a Chromium without network.

    `block` is the area of matched blocks of text among all of both pages; `text`, `position` and `colour` are
    the means over matched blocks of their texts' likeness, 1 - the distance of their middles, and CIEDE2000;
    the last term compares the pictures without their text. The gold page is `sample.answer`, or
    `truth["html"]`; `truth["viewport"]` is (width, height) of the window. Blocks that are joined to resemble
    one of the other page have the area and the colours of their parts; published are the area of the box
    round them and a mean colour.

    The part `design2code` is the mean of the five, else as published, a fifth of the last where no block is
    matched. One word that resembles one word of the gold page brings that above a half, and all words as one
    heap to nine tenths. So in the value the first four count by the share that both pages have of the area
    of text that either has, to which blocks add as far as they are near to what they resemble, and joined
    ones as far as they lie like it (`blocks.shared`). The right words as dust or on one spot are worth
    little, and as a heap what a page without words is.

    The last term is the likeness of the pictures by a model whose weights are given: `image_clip` among the
    parts for one of open_clip's, as published, `image_timm` for one of timm's. Without weights it is SSIM,
    structural similarity, and `image_ssim`; values with different last terms are not comparable.

    A page that cannot be drawn in 5 s, twice, is wrong where the gold page can be drawn after it; else
    judging failed.

    Args:
        clip_model: the name of an open_clip model, or `timm/` and the name of one of timm's.
        clip_weights: the file of its weights; empty takes structural similarity instead.
        on_error: see `Verifier`.

    Raises:
        ValueError: there are no weights at that place.

    Reference: arXiv:2403.03163; https://github.com/NoviScl/Design2Code
    """

    def __init__(
        self, *, clip_model: str = "ViT-B-32", clip_weights: str = "", on_error: OnError = "skip"
    ) -> None:
        super().__init__(on_error=on_error)
        self.clip_model = clip_model
        self.clip_weights = clip_weights
        if clip_weights and not Path(clip_weights).is_file():
            raise ValueError(f"reward/html: clip_weights is {clip_weights}, and there is no such file")

    @property
    def last_term(self) -> str:
        """The name of the part that compares the pictures without their text."""
        if not self.clip_weights:
            return "image_ssim"
        return "image_timm" if self.clip_model.startswith("timm/") else "image_clip"

    def score(self, sample: Sample, response: str) -> Reward:
        """Render both, match, compare."""
        width, height = sample.truth.get("viewport", (640, 480))
        page = sample.truth.get("html", sample.answer)
        gold = rendered(page, width, height)
        answer = fenced(response, "html")
        if not answer.strip():
            return Reward(0.0, reason="no page")
        try:
            found = browsers().run(lambda one: look(one, answer, width, height))
        except BrowsersBusy:
            raise
        except RuntimeError as error:  # it stopped, or the page has renamed what it is looked at by
            rendered.__wrapped__(page, width, height)
            return Reward(0.0, reason=f"could not be looked at: {error}")
        return self.compared(found, gold)

    def compared(self, found: Look, gold: Look) -> Reward:
        """The five terms of two pages that have been looked at."""
        likeness = learned(self.clip_model, self.clip_weights) if self.clip_weights else structure
        name = self.last_term
        image = likeness(found.bare, gold.bare)
        ours, theirs = joined(gold.blocks, found.blocks), joined(found.blocks, gold.blocks)
        pairs = match(ours, theirs)
        parts = dict.fromkeys(("block", "text", "position", "colour"), 0.0)
        if not pairs and (gold.blocks or found.blocks):
            parts |= {name: image, "design2code": image / 5}
            return Reward(image / 5, parts, "no block of text is matched")
        if pairs:
            whole, other = (fsum(joint.area for joint in joints) for joints in (ours, theirs))
            mine, yours = fsum(a.area for a, _, _ in pairs), fsum(b.area for _, b, _ in pairs)
            parts["block"] = (mine + yours) / (whole + other)
            # Text without a partner counts on the page that has more of it.
            either = fsum(max(a.area, b.area) for a, b, _ in pairs) + max(whole - mine, other - yours)
            covered = fsum(shared(a, b) for a, b, _ in pairs) / either
            parts["text"] = sum(same for _, _, same in pairs) / len(pairs)
            parts["position"] = sum(1 - apart(a, b) for a, b, _ in pairs) / len(pairs)
            parts["colour"] = sum(hue_likeness(a, b) for a, b, _ in pairs) / len(pairs)
        else:
            # Neither page has any text, so that only the pictures speak.
            parts, covered = dict.fromkeys(parts, 1.0), 1.0
        reason = ", ".join(f"{key} {value:.2f}" for key, value in (parts | {name: image}).items())
        means = parts["text"] + parts["position"] + parts["colour"]
        value = (covered * (1 + means) + image) / 5
        parts |= {name: image, "design2code": (parts["block"] + means + image) / 5}
        return Reward(value, parts, reason)


@lru_cache(maxsize=64)
def rendered(html: str, width: int, height: int) -> Look:
    """A gold page as it looks; the same one judges many answers."""
    return browsers().run(lambda page: look(page, html, width, height))
