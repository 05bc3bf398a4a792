"""The native design: perception inside the model, trained jointly from the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vlmloom.assemblies.recompute import Policy, compute_again
from vlmloom.assemblies.spliced import Spliced
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.vision import Vision
from vlmloom.registry import register


@register("assembly/native")
class Native(Spliced):
    """Vision, projector, language and heads trained jointly from the start (GLM-5V-Turbo).

    Visual tokens stand in the token sequence at the slots of the `<|image|>` placeholder. One model answers
    everything.

    Reference: GLM-5V-Turbo, arXiv 2604.26752, section 2; splicing as in transformers' `glm4v_moe`.
    """

    def __init__(
        self,
        *,
        language: Language,
        head: Mapping[str, Callable[..., Head]],
        vision: Vision | None = None,
        projector: Callable[..., Projector] | None = None,
        recompute: Mapping[str, Policy] | None = None,
    ) -> None:
        """Wire the parts.

        Args:
            vision: the tower; None is a text model, such as the GLM-5 that a native model grows from.
            projector: a template; its widths are those of its neighbours. None where there is no tower.
            language: the decoder.
            head: templates by name; `lm` is needed, `mmtp` is GLM-5V-Turbo's.
            recompute: part (vision, projector, language, head) -> none, selective or full; what its blocks
                keep for the way back (see `assemblies.recompute`).
        """
        super().__init__(vision=vision, projector=projector, language=language, head=head)
        compute_again(self, recompute)
