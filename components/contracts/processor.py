"""A sample as token ids: `Encoded`, and the contract of the kind `processor`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vlmloom.components.contracts.conversation import Conversation, Reply, ToolSpec
from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.visuals import Grid


@dataclass
class Encoded:
    """One sample as tokens.

    Attributes:
        ids: token ids; every visual token holds the image placeholder's id.
        labels: the id where it is trained on (the answer and the end token), else `IGNORE`.
        layout: the spans in order; visual spans hold their grid.
        visual: positions in `ids` of the visual tokens, in the order of the projected features.
    """

    ids: list[int]
    labels: list[int]
    layout: Layout
    visual: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class Processor(ABC):
    """Samples to tokens; `grids` are the merged grids (frames, rows, columns), one a picture.

    Attributes:
        stops: the ids that end an answer.
        never: ids that stand for pictures in a prompt and are never an answer.
    """

    stops: tuple[int, ...]
    never: tuple[int, ...]

    @abstractmethod
    def encode(self, sample: Sample, grids: Sequence[Grid], *, prompt_only: bool = False) -> Encoded:
        """The sample as tokens; `prompt_only` stops where the answer begins.

        Raises:
            ValueError: there are not as many grids as pictures.
        """

    @abstractmethod
    def length(self, sample: Sample, grids: Sequence[Grid]) -> int:
        """`len(encode(sample, grids))`, without building it."""

    @abstractmethod
    def answer(self, ids: Sequence[int]) -> str:
        """The text of generated ids, up to the end token."""


class ConversationProcessor(Processor):
    """A processor that also takes conversations, and takes apart what a model answers in them."""

    @abstractmethod
    def encode_conversation(
        self,
        conversation: Conversation,
        grids: Sequence[Grid],
        *,
        prompt_only: bool = False,
        name: str = "the conversation",
    ) -> Encoded:
        """A conversation as tokens, with labels on the assistant's turns.

        Args:
            conversation: whose turns.
            grids: merged grids (frames, rows, columns), one a picture of all turns.
            prompt_only: end where the assistant begins to write, and label nothing.
            name: of the conversation, for messages.

        Raises:
            ValueError: it is malformed; there are not as many grids as pictures.
        """

    @abstractmethod
    def encode_ids(self, ids: Sequence[int], grids: Sequence[Grid]) -> Encoded:
        """A prompt that is already token ids, one image placeholder a visual token, without labels.

        So a trajectory that was sampled goes on without being encoded anew. A clip takes one grid for each of
        its merged frames.

        Raises:
            ValueError: an id is outside the vocabulary, or the placeholders do not fit the grids.
        """

    @abstractmethod
    def reply(self, written: Sequence[int] | str, tools: Iterable[ToolSpec] = ()) -> Reply:
        """What a model wrote, taken apart into reasoning, content, boxed answer and tool calls.

        Args:
            written: generated ids, or their text with the control tokens in it. Ids are safer: a control
                token that is merely spelt out inside an argument stays text.
            tools: whose schemas say of which type an argument is.

        Raises:
            ValueError: a tool has no name. What the model wrote raises nothing: see `Reply.errors`.
        """


def lead(text: str) -> str:
    """A text as it stands inside a sequence: all but digits keep a space before them, at its start too.

    So a word is one and the same token wherever it stands.

    >>> lead("dog"), lead("7"), lead("[1,2,3,4]")
    (' dog', '7', ' [1,2,3,4]')
    """
    return " " + text if text and not text[0].isdigit() else text
