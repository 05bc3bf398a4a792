"""Any image tower of open_clip as a teacher."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.vision import SharedSpace
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.components.teacher.square import SquareTeacher
from vlmloom.components.teacher.weights import FAULTS, dry, fetched, need_file, no_map
from vlmloom.registry import register


@register("teacher/open_clip")
class OpenCLIP(SquareTeacher):
    """An open_clip model by name: the last map of its image tower, and its embedding in the shared space.

    >>> import torch
    >>> with torch.device("meta"):  # shapes alone; weights="webli" fetches the published ones
    ...     teacher = OpenCLIP(model="ViT-B-16-SigLIP2", weights=None)
    >>> teacher.out_width, teacher.patch_spec.patch, teacher.patch_spec.size
    (768, 16, 224)

    Reference: open_clip, `CLIP.forward_intermediates`.
    """

    def __init__(self, *, model: str, weights: str | None) -> None:
        """Build the model; its text tower is dropped, and built again when `shared_space` is asked for texts.

        Args:
            model: a name that open_clip knows, e.g. `ViT-B-16-SigLIP2`.
            weights: a tag of published ones, e.g. `webli`, the path of a file, or None for random ones.

        Raises:
            ValueError: open_clip does not know the model or the tag, or the weights cannot be had.
        """
        who = self.registered_name
        if model not in (known := open_clip.list_models()):
            near = difflib.get_close_matches(model, known, n=3) or ["ViT-B-16-SigLIP2"]
            raise ValueError(f"{who}: open_clip knows no model {model!r}; {', '.join(near)} would be right")
        tags = open_clip.list_pretrained_tags_by_model(model)
        if weights is not None and weights not in tags:
            if "/" not in weights and "." not in weights:
                raise ValueError(
                    f"{who}: open_clip has no weights {weights!r} of {model}; {', '.join(tags) or 'a path'} "
                    "would be right"
                )
            need_file(who, weights)

        def make() -> Any:
            wanted = None if dry() else weights
            device = "meta" if dry() else "cpu"
            return open_clip.create_model(
                model, pretrained=wanted, require_pretrained=wanted is not None, device=device
            )

        built = fetched(who, model, make)
        config = open_clip.get_model_preprocess_cfg(built)
        size = config["size"][0] if isinstance(config["size"], list | tuple) else config["size"]
        visual = built.visual
        self.name = model
        _, width, rows, _ = self._look(visual.eval(), torch.zeros(1, 3, size, size))[0].shape
        super().__init__(
            stride=size // rows, size=size, out_width=width, mean=config["mean"], std=config["std"]
        )
        self.model = visual
        self.pretrained = [] if weights is None else [f"open_clip {model} of {weights}, a frozen teacher"]
        self.space = None if weights is None else _Space(who, model, weights)
        self.freeze_all()

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return {"model": self.name}

    def shared_space(self) -> SharedSpace | None:
        """The space of the published weights; random ones share none."""
        return self.space

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images channels rows columns"], Float[Tensor, "images pooled"]]:
        """See `SquareTeacher.encode`."""
        return self._look(self.model, images)

    @torch.no_grad()
    def _look(self, visual: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        def looked(norm: bool) -> dict[str, Any]:
            return visual.forward_intermediates(
                images, indices=1, normalize_intermediates=norm, output_fmt="NCHW"
            )

        try:
            try:
                found = looked(True)
            except RuntimeError:  # a model whose norm comes after a pooling of another width (CoCa)
                found = looked(False)
            return found["image_intermediates"][-1], found["image_features"]
        except FAULTS as error:
            raise no_map(self, self.name, images, error) from error


class _Space:
    """See `SharedSpace`; the whole model is built when the first text is read."""

    def __init__(self, who: str, model: str, weights: str) -> None:
        self.who, self.name, self.weights = who, model, weights
        self.built: Any = None

    def embed_pictures(self, features: VisualFeatures) -> Float[Tensor, "pictures width"]:
        assert features.pooled is not None
        return F.normalize(features.pooled.float(), dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
        if self.built is None:
            self.built = fetched(self.who, self.name, self._make)
        model, tokenizer = self.built
        return torch.cat([model.encode_text(tokenizer([text]), normalize=True).float() for text in texts])

    def _make(self) -> Any:
        model = open_clip.create_model(self.name, pretrained=self.weights, require_pretrained=True)
        return model.eval(), open_clip.get_tokenizer(self.name)
