"""One abstract class a kind: the contract that every component of the kind keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.drafter import Drafter
from vlmloom.components.contracts.factors import Decay, Factors
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.contracts.packed import Layout, Packed
from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Episode, Reward, Sample, Thing
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import Grid, PatchSpec, Pictures, VisualFeatures, Visuals


class SharedSpace(Protocol):
    """Where pictures and texts that belong together lie near each other."""

    def embed_pictures(self, features: VisualFeatures) -> Float[Tensor, "pictures width"]:
        """Unit vectors of pictures that the tower has seen."""

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
        """Unit vectors of texts."""


class Vision(Component):
    """Pictures to features: `Visuals -> VisualFeatures` of `out_width`.

    Attributes:
        out_width: the width of the features.
        patch_spec: how pictures are to be cut for it.
    """

    out_width: int
    patch_spec: PatchSpec

    @abstractmethod
    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode; `taps` names the layers whose outputs are wanted beside the last."""

    @abstractmethod
    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids of the features for items of these (stored) patch grids. Pure and tensor-free."""

    @abstractmethod
    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs for items of these patch grids."""

    def shared_space(self) -> SharedSpace | None:
        """The space that the tower shares with text, None where it was trained without any."""
        return None


class Projector(Component):
    """Features to the language's width, merging tokens where it does.

    Attributes:
        in_width: the width of the features.
        out_width: the width of the language.
        block: the side of the groups of tokens that it merges (1 = none).
    """

    in_width: int
    out_width: int
    block: int = 1

    @abstractmethod
    def forward(self, features: VisualFeatures) -> tuple[VisualFeatures, Metrics]:
        """Project."""

    def units(self) -> list[nn.Module]:
        """See `Component.units`: a projector is one."""
        return [self]

    @abstractmethod
    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids after merging. Pure and tensor-free: the collator counts placeholders with it."""

    @abstractmethod
    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs for features of these grids."""


class Attention(nn.Module):
    """A backend: `q, k, v`, the lengths of the segments and a mask -> what each query attends to.

    Attributes:
        masks: the descriptions that it can do.
        picks: what it has chosen by itself; whoever trains tells it once.
    """

    masks: ClassVar[tuple[type, ...]] = get_args(Mask)
    picks: Mapping[str, str] = {}

    @abstractmethod
    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend within each segment of the flat axis; fewer kv heads than heads means grouped queries."""

    @classmethod
    def available(cls) -> str | None:
        """None where it runs on this machine; else one line that says what is lacking and how to get it."""
        return None


class FFN(Component):
    """`[T, D] -> [T, D]`: a dense feed-forward block or a mixture of experts; a slot `ffn` takes either."""

    width: int

    @abstractmethod
    def forward(self, x: Float[Tensor, "tokens width"], lengths: Sequence[int]) -> tuple[Tensor, Metrics]:
        """Transform every token; `lengths` are the samples, for losses that are taken per sequence."""

    def infer(self, x: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        """What `forward` gives, without its metrics: one call for each new token of an answer."""
        return self(x, [len(x)])[0]

    @abstractmethod
    def flops(self, tokens: int) -> int:
        """Forward FLOPs for so many tokens; routed experts count the top k."""

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        return sum(parameter.numel() for parameter in self.parameters())


class Language(Component):
    """Hidden states in, final-normed hidden states out. Owns the embedding and the rotary positions.

    Attributes:
        width: of the hidden states.
        vocab: the number of token ids.
        embed: ids to `[T, width]`.
        max_positions: the longest context that the positions allow; None allows any.
        tapped: the outputs of the layers that the last `forward` was asked for.
    """

    width: int
    vocab: int
    embed: nn.Module
    max_positions: int | None = None
    tapped: dict[int, Tensor]

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "tokens width"],
        positions: Tensor | None,
        lengths: Sequence[int],
        mask: Mask | None = None,
        inject: dict[int, Tensor] | None = None,
        visual_slots: Tensor | None = None,
        cache: Cache | None = None,
        taps: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the blocks over packed samples.

        Args:
            hidden: `[T, width]` token and visual embeddings.
            positions: `[3, T]`; None with a cache, where text goes on.
            lengths: of the samples; with a cache, of the new tokens of each sequence.
            mask: None is causal.
            inject: layer -> `[V, width]`, added at `visual_slots` after that layer (DeepStack).
            visual_slots: `[V]`.
            cache: what has been read before; it is extended.
            taps: layers whose outputs are wanted, found in `self.tapped` afterwards.
        """

    @property
    def output_matrix(self) -> Tensor:
        """The matrix `[vocab, width]` that `head/lm` uses where its weights are tied: the embedding's."""
        return self.embed.weight  # type: ignore[return-value]

    @abstractmethod
    def positions(self, layout: Layout) -> np.ndarray:
        """Rotary positions `[3, length]` of one sample. Pure and tensor-free."""

    @abstractmethod
    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""

    def make_block(self) -> nn.Module:
        """A fresh block like this part's last one, for a head that predicts with a block of its own.

        The block has `flops(lengths)` and `active_parameters()`; `run_block` runs it.
        """
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def run_block(
        self,
        block: nn.Module,
        hidden: Tensor,
        positions: Tensor,
        lengths: Sequence[int],
        mask: Mask | None = None,
        cache: Cache | None = None,
    ) -> tuple[Tensor, Metrics]:
        """Run such a block over `[T, width]` with this part's rotary positions and attention.

        Args:
            block: from `make_block`.
            hidden: `[T, width]`.
            positions: `[3, T]`.
            lengths: of the samples; with a cache, of the new tokens of each sequence.
            mask: None is causal.
            cache: from `block_cache`; it is extended.
        """
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def block_cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache of one such block."""
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def become_tower(self) -> None:
        """Give up the words: what is left are the blocks and the last norm, for patches of pictures.

        The embedding goes; of `[3, T]` positions rows and columns alone turn queries and keys, each half of
        what is rotated; `flops` counts full attention, which `forward` takes by `mask=Bidirectional()`.

        Raises:
            ValueError: it cannot.
        """
        raise ValueError(
            f"{self.registered_name}: its attention stays causal, so it becomes no tower; language/glm would "
            "be right"
        )

    @abstractmethod
    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths; causal attention counts half."""


class Head(Component):
    """Hidden states and the batch to a loss; bound to the language part by reference (`bind`)."""

    def bind(self, language: Language, lm: Head | None = None) -> None:
        """Take the language part (and the `lm` head) whose embedding and unembedding are shared.

        References are kept outside the module tree, so that no parameter is counted twice.
        """

    @abstractmethod
    def forward(self, hidden: Float[Tensor, "tokens width"], batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss over the batch, already divided by `batch.normaliser`, and named parts."""

    def reach(self, drafts: int) -> int:
        """How many of so many tokens its drafter can guess ahead; 0 where it does not draft."""
        return 0

    @property
    def drafts(self) -> bool:
        """Whether it has a drafter, which guesses tokens ahead of the language part."""
        return self.reach(1) > 0

    def drafter(self, *, batch: int, capacity: int, depth: int) -> Drafter:
        """A drafter for `batch` sequences of at most `capacity` tokens that guesses `depth` tokens ahead.

        Raises:
            ValueError: it cannot guess so far.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draft")

    @abstractmethod
    def flops(self, lengths: Sequence[int], targets: int) -> int:
        """Forward FLOPs for samples of these lengths with so many supervised tokens."""


class Objective(nn.Module):
    """A component or an assembly, and a batch -> a loss and its named parts.

    An objective may have parameters of its own (the map from a student to its teacher): they train along and
    stand in every checkpoint. What stands still in it is `Frozen`; a trained model that it stands on is kept
    as `trunk`, and its data and tokenizer are then those of the training.

    Attributes:
        views: what a stage may show to it (`pipelines.experiment.View`), the usual one first; empty where any
            will do.
        supervised: whether it reads the labels of a batch; else they are not counted as labels seen.
    """

    views: tuple[str, ...] = ()
    supervised: bool = True

    def check(self, module: Any) -> None:
        """See that the module has what is trained.

        Raises:
            ValueError: it lacks a part; the message says which would be right.
        """

    def meet(self, module: Any) -> None:
        """Make what depends on the assembly that is trained, such as an average of it; once, after `check`.

        Raises:
            ValueError: that cannot be made; the message says what would be right.
        """

    @abstractmethod
    def forward(self, module: Any, batch: Any) -> tuple[Tensor, Metrics]:
        """The loss to descend."""

    @abstractmethod
    def flops(self, module: Any, batch: Any) -> dict[str, int]:
        """Forward FLOPs of each part that this batch runs through, in the order of the flow.

        A component that trains alone is the part `model`; the objective's own arithmetic is `objective`.
        """

    def offers(self) -> dict[str, Any]:
        """Arguments of a component that trains alone, such as its widths, where this objective knows them."""
        return {}

    def prepare(self, model: Any) -> None:
        """Make a component that is to train alone and this objective fit each other, before the first step.

        Raises:
            ValueError: they do not fit; the message says what would.
        """
        who, name = (getattr(one, "registered_name", type(one).__name__) for one in (self, model))
        raise ValueError(
            f"{who}: trains an assembly, and {name} is none; objective/imitate trains a part alone"
        )

    def intake(self, model: Any) -> Intake:
        """What batches are made for; an assembly says it itself."""
        return model

    def after_step(self, module: Any, progress: float) -> None:
        """What has to happen once an optimizer step, such as moving an average of the weights.

        Args:
            module: what is trained.
            progress: how much of the stage's share of the budget is spent, 0 to 1.
        """


class OptimizerRecipe(ABC):
    """How parameters become one `torch.optim.Optimizer` (Lightning's automatic optimization takes one)."""

    @abstractmethod
    def build(
        self, groups: Iterable[tuple[Iterable[tuple[str, nn.Parameter]], Factors]]
    ) -> torch.optim.Optimizer:
        """Make the optimizer.

        Args:
            groups: pairs of named parameters and what sets them apart.
        """

    def factor(self, progress: float, decay: Decay | None = None) -> float:
        """What the learning rates are multiplied by when this share, in [0, 1], of the budget is spent.

        Args:
            progress: the share.
            decay: of a group with a course of its own; None is the recipe's.
        """
        return 1.0

    def schedule(self, optimizer: torch.optim.Optimizer, progress: float) -> float:
        """Set every group's rate to its `initial_lr` times `factor(progress, its decay)`, before each step.

        Returns:
            The factor of the recipe's own course.
        """
        for group in optimizer.param_groups:
            factor = self.factor(progress, group.get("decay"))
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        return self.factor(progress)


class Tokenizer(ABC):
    """Text to ids and back.

    Attributes:
        vocab: the number of ids.
        controls: the special tokens and their ids; whatever else an id stands for is plain text.
        leads: whether its words hold the space before them at the start of a text too (see `processor.lead`).
    """

    vocab: int
    controls: Mapping[str, int]
    leads: bool = False

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text; special tokens written out in it become their ids."""

    @abstractmethod
    def plain(self, text: str) -> list[int]:
        """The ids of a text in which nothing is a special token, whatever it says: for what others wrote."""

    @abstractmethod
    def decode(self, ids: Sequence[int], keep_special: bool = False) -> str:
        """The text of ids."""

    def special(self, token: str) -> int:
        """The id of a special token, e.g. `<|image|>`.

        Raises:
            KeyError: there is no such token.
        """
        if token not in self.controls:
            raise KeyError(f"{self} has no special token {token!r}; it has {', '.join(self.controls)}")
        return self.controls[token]


class Source(ABC):
    """Real material with its provenance: pictures, tables, text.

    Attributes:
        package: where it comes from.
        licence: under which licence.
    """

    package: str
    licence: str

    @abstractmethod
    def prepare(self) -> None:
        """Make the cached form once: checked by checksum, safe when two start at once or one is killed."""

    @abstractmethod
    def available(self) -> str | None:
        """None where it can be used; else one line that says what to install."""


class Task(ABC):
    """A category of questions over sources, with its own verifier.

    `plan` is a pure function of (seed, split, index) and draws nothing.

    Attributes:
        name: under which results are reported.
        family: perception, documents, reasoning, video or agentic.
        visual: whether its questions have pictures.
        knob: the constructor's argument that makes it harder.
        steps: the most acts of an episode. A task of one is asked by `plan` and judged by `check`; one of
            more is run by `open`, and the episode says how it went.
    """

    name: str
    family: ClassVar[str] = ""
    visual: bool = True
    knob: ClassVar[str] = ""
    steps: int = 1

    @abstractmethod
    def plan(self, split: str, index: int) -> Sample:
        """The item, its pictures not yet drawn."""

    def sources(self) -> Sequence[Source]:
        """What it is made from, beside what the tasks of a suite share."""
        return ()

    def judge(self) -> dict[str, Any]:
        """The verifier as it would be written in YAML; another kind is reached by its name."""
        return {"use": "reward/exact"}

    @cached_property
    def verifier(self) -> Verifier:
        """What judges the answers; may be replaced."""
        from vlmloom.registry import build

        verifier: Verifier = build(self.judge())
        return verifier

    def check(self, sample: Sample, response: str) -> Reward:
        """Judge an answer."""
        return self.verifier.judge(sample, [response])[0]

    @abstractmethod
    def open(self, split: str, index: int) -> Episode:
        """The item as an episode, of one step where `steps` is 1."""


class Specialist(Component):
    """One sense of the cascade: whole pictures to structured things. Each is trained alone."""

    def shapes(self, spec: Spec) -> Spec:
        """See `Component.shapes`: pictures of three channels and any size pass, things beside them."""
        spec.need(type(self).__name__, "pictures", 3)
        return spec

    @abstractmethod
    def loss(self, pictures: Pictures) -> tuple[Tensor, Metrics]:
        """The loss on frames whose things are known (`Pictures.things`)."""

    @abstractmethod
    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """The things of each frame, completed by this sense; `pictures.things` is what was found so far."""

    @abstractmethod
    def views(self, pictures: Pictures) -> list[tuple[int, int]]:
        """The sizes, (height, width), of all it looks at in these frames: the frames, or crops of them."""

    @abstractmethod
    def flops(self, sizes: Sequence[tuple[int, int]]) -> int:
        """Forward FLOPs for `views` of these sizes, (height, width)."""

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """Learn which names, colours and characters there are, where construction did not tell."""


class Teacher(Vision):
    """A frozen tower whose features are learned from, with a `pooled` embedding where the model has one."""

    def weights(self) -> dict[str, Tensor]:
        """All that its features depend on beside the pictures, so that they can be kept under its name."""
        return self.state_dict()
