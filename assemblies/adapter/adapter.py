"""The adapter design: a vision tower bolted onto a language model by a projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from vlmloom.assemblies.recompute import Policy, compute_again
from vlmloom.assemblies.spliced import Spliced
from vlmloom.components.contracts.component import Component
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.vision import Vision
from vlmloom.registry import register


@register("assembly/adapter")
class Adapter(Spliced):
    """A tower trained on captions and a language model trained on text, joined by a projector trained alone.

    The parts `text` and `align` serve the tower's contrastive stage and are not used afterwards; both the
    budget and the parameter count of training include them.

    Reference: LLaVA, arXiv 2304.08485 (projector alone on two frozen parts); SigLIP, arXiv 2303.15343.
    """

    def __init__(
        self,
        *,
        vision: Vision,
        projector: Callable[..., Projector],
        language: Language,
        head: Mapping[str, Callable[..., Head]],
        text: Language,
        align: Callable[..., Component],
        recompute: Mapping[str, Policy] | None = None,
    ) -> None:
        """Wire the parts.

        Args:
            vision: the tower.
            projector: a template; its widths are those of its neighbours.
            language: the decoder.
            head: templates by name.
            text: the text tower of the contrastive stage.
            align: a template of the alignment; its widths are those of both towers.
            recompute: part (vision, projector, language, head, text) -> none, selective or full; what its
                blocks keep for the way back (see `assemblies.recompute`).
        """
        super().__init__(vision=vision, projector=projector, language=language, head=head)
        self.text = text
        self.align = align(vision_width=vision.out_width, text_width=text.width)
        compute_again(self, recompute)

    def parts(self) -> dict[str, nn.Module]:
        """See `Assembly.parts`."""
        return super().parts() | {"text": self.text, "align": self.align}

    def reads(self) -> dict[str, tuple[str, ...]]:
        """See `Assembly.reads`: the towers stand beside each other."""
        return super().reads() | {"text": (), "align": ("vision", "text")}
