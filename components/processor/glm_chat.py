"""Conversations in GLM's chat template: turns, pictures, clips, reasoning, tools, and what is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from vlmloom.components.contracts.conversation import Conversation, Message, Reply, ToolSpec
from vlmloom.components.contracts.marks import GLM_TOKENS
from vlmloom.components.contracts.processor import ConversationProcessor, Encoded
from vlmloom.components.contracts.sample import Picture, Sample
from vlmloom.components.contracts.tokenizer import Tokenizer
from vlmloom.components.contracts.visuals import Grid
from vlmloom.components.processor.assemble import Assembler
from vlmloom.components.processor.checks import check
from vlmloom.components.processor.glm_template import GlmTemplate, Release, in_answer_tags
from vlmloom.components.processor.guard import Guard
from vlmloom.components.processor.jinja_template import JinjaTemplate
from vlmloom.components.processor.loss_mask import PARTS, STOPS, Marked, Part, Turn, mask
from vlmloom.components.processor.reply import parse, take_apart
from vlmloom.components.processor.turns import as_turn
from vlmloom.registry import register
from vlmloom.registry.errors import BadInput

NEEDED = (
    *("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|image|>"),
)
NEEDED_LATER = tuple(
    token
    for token in GLM_TOKENS
    if token.strip("</>") in ("think", "tool_call", "tool_response", "arg_key", "arg_value", "nothink")
)
"""What GLM-4.5V and its successors write beyond that."""
CLASS_OF = {"4.1v": "Glm4vProcessor", "4.5v": "Glm4vProcessor", "4.6v": "Glm46VProcessor"}


@register("processor/glm_chat")
class GlmChat(ConversationProcessor):
    """Conversations in GLM's chat template: pictures, clips, reasoning, tools, loss on the assistant's turns.

    `[gMASK]<sop>`, then turns that begin with `<|system|>`, `<|user|>`, `<|assistant|>` or `<|observation|>`.
    A picture is one `<|image|>` a visual token between `<|begin_of_image|>` and `<|end_of_image|>`; a clip is
    such a block a pair of frames, each followed by its time, between `<|begin_of_video|>` and
    `<|end_of_video|>`. What users, tools and data say is encoded as plain text, whatever control tokens it
    spells out.

    An answer ends at `<|endoftext|>`, `<|user|>`, `<|observation|>`, and where the tokenizer's folder says.

    A sample of a task becomes a user's and an assistant's turn. `GlmTemplate` says which parts of the
    templates are stated and which inferred.

    Args:
        tokenizer: with GLM's special tokens: of a checkpoint's folder (`tokenizer/hf`), or `tokenizer/bpe`
            with `special: glm`.
        release: `4.1v` without tools, `4.5v`, or `4.6v` (GLM-OCR too) with times such as `1.5 seconds`; None
            is the one that the tokenizer's folder was made for, and `4.5v` where it does not say.
        thinking: whether the assistant thinks, where a conversation does not say. If not, the user's turns
            end with `/nothink` and the assistant's open with `<think></think>`; `4.1v` has no such switch.
        reasoning: of which turns reasoning is kept: `last`, those after the user's last turn, as published,
            or `all`.
        train_on: the parts of the assistant's turns that have labels: `reasoning`, `content`, `calls`.
        end: the token that closes the last turn in training; `<|observation|>` after calls in any case.
        template: `auto` uses the template of the tokenizer's folder where it has one, `own` never.
        trust_text: read control tokens that are spelt out in texts as control tokens.
        cached_texts: how many encoded texts are remembered.

    Raises:
        ValueError: the tokenizer lacks special tokens (all are named), an option has another value than
            those, or the folder's template is none.

    Reference: transformers, models/glm4v/processing_glm4v.py and models/glm46v/processing_glm46v.py;
    arXiv 2507.01006, 2508.06471
    """

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        release: Release | None = None,
        thinking: bool = False,
        reasoning: Literal["last", "all"] = "last",
        train_on: Sequence[Part] = PARTS,
        end: str = "<|user|>",
        template: Literal["auto", "own"] = "auto",
        trust_text: bool = False,
        cached_texts: int = 65536,
    ) -> None:
        release = release_of(tokenizer) if release is None else release
        self.tokenizer, self.release, self.thinking = tokenizer, release, thinking
        self.keep, self.train_on, self.end = reasoning == "all", tuple(train_on), end
        self.trust_text = trust_text
        source = getattr(tokenizer, "chat_template", None) if template == "auto" else None
        self._check_options(source is None)
        controls = tokenizer.controls
        stops = [controls[token] for token in ("<|endoftext|>", *STOPS)]
        self.stops = tuple(dict.fromkeys([*stops, *getattr(tokenizer, "stops", ())]))
        self.never = tuple(controls[t] for t in ("<|image|>", "<|video|>", "<|pad|>") if t in controls)
        self.own = GlmTemplate(release)
        self.jinja = None if source is None else JinjaTemplate(source, f"{tokenizer}: the chat template")
        self.guard = Guard({*controls, *GLM_TOKENS})
        self._assembler = Assembler(tokenizer, release, self.guard.restore, cached_texts)

    def _check_options(self, own: bool) -> None:
        for name, value, options in (
            ("release", self.release, tuple(CLASS_OF)),
            *(("train_on", part, PARTS) for part in self.train_on),
        ):
            if value not in options:
                raise ValueError(f"processor/glm_chat: {name} is {value!r}, but may be {', '.join(options)}")
        needed = NEEDED if self.release == "4.1v" or not own else (*NEEDED, *NEEDED_LATER)
        missing = [token for token in (*needed, self.end) if token not in self.tokenizer.controls]
        if missing:
            raise ValueError(
                f"processor/glm_chat: {self.tokenizer} lacks the special tokens {' '.join(missing)}; "
                "the folder of a GLM checkpoint, or tokenizer/bpe with special: glm, would be right"
            )
        made_for = getattr(self.tokenizer, "processor_class", "")
        if made_for in CLASS_OF.values() and made_for != CLASS_OF[self.release]:
            fitting = [release for release, name in CLASS_OF.items() if name == made_for]
            raise ValueError(
                f"processor/glm_chat: release is {self.release}, but {self.tokenizer} is made for "
                f"{made_for}; release: {' or '.join(fitting)} would be right"
            )

    # --- samples of tasks ----------------------------------------------------------------------------------

    def encode(self, sample: Sample, grids: Sequence[Grid], *, prompt_only: bool = False) -> Encoded:
        """See `Processor.encode`."""
        conversation = Conversation([Message("user", sample.prompt), Message("assistant", [sample.answer])])
        if prompt_only:
            conversation = Conversation(conversation.messages[:1])
        name = f"{sample.task} {sample.index}"
        return self.encode_conversation(conversation, grids, prompt_only=prompt_only, name=name)

    def length(self, sample: Sample, grids: Sequence[Grid]) -> int:
        """See `Processor.length`."""
        return len(self.encode(sample, grids))

    def answer(self, ids: Sequence[int]) -> str:
        """What is to be judged of generated ids: the boxed answer where there is one, else the content."""
        return self.reply(ids).answer

    # --- conversations -------------------------------------------------------------------------------------

    def encode_conversation(
        self,
        conversation: Conversation,
        grids: Sequence[Grid],
        *,
        prompt_only: bool = False,
        name: str = "the conversation",
    ) -> Encoded:
        """See `ConversationProcessor.encode_conversation`."""
        pictures = conversation.pictures
        if len(pictures) != len(grids):
            raise ValueError(f"{name}: has {len(pictures)} pictures, but {len(grids)} grids were given")
        try:
            check(conversation, None if self.jinja else self.release, prompt=prompt_only)
            pieces = self._marked(conversation, prompt_only)
            return self._assembler.build(pieces, pictures, grids, labelled=not prompt_only)
        except ValueError as error:
            raise BadInput(f"{name}: {error}") from None

    def render(self, conversation: Conversation, *, prompt_only: bool = False) -> str:
        """The text of a conversation, each picture one placeholder.

        For the eye: it no longer tells what the template wrote from what a user wrote.
        """
        check(conversation, None if self.jinja else self.release, prompt=prompt_only)
        return self.guard.restore(self._render(conversation, prompt_only)[0])

    def encode_prompt(self, text: str, pictures: Sequence[Picture], grids: Sequence[Grid]) -> Encoded:
        """A prompt that is already written out, one `<|image|>` or `<|video|>` a picture, without labels.

        Its control tokens are taken as such: it has to come from somebody who may write them.

        Raises:
            ValueError: there are not as many placeholders, or grids, as pictures.
        """
        if len(pictures) != len(grids):
            raise ValueError(f"the prompt: has {len(pictures)} pictures, but {len(grids)} grids were given")
        pieces = (Marked(piece, control) for piece, control in self.guard.split(text))
        return self._assembler.build(pieces, pictures, grids, labelled=False)

    def encode_ids(self, ids: Sequence[int], grids: Sequence[Grid]) -> Encoded:
        """See `ConversationProcessor.encode_ids`."""
        return self._assembler.from_ids(ids, grids)

    def reply(self, written: Sequence[int] | str, tools: Iterable[ToolSpec] = ()) -> Reply:
        """See `ConversationProcessor.reply`."""
        if isinstance(written, str):
            return parse(self.guard.split(written), tools)
        return parse(take_apart(written, self.tokenizer, self.stops), tools)

    # --- from messages to tokens ---------------------------------------------------------------------------

    def _render(self, conversation: Conversation, opened: bool) -> tuple[str, str]:
        """The text of a conversation with what others wrote protected, and the opening of a turn."""
        thinking = self.thinking if conversation.thinking is None else conversation.thinking
        turns, tools = self._turns(conversation)
        if self.jinja is None:
            text = self.own.render(turns, tools, thinking=thinking, keep=self.keep, opened=opened)
            return text, self.own.opening(thinking)
        text = self.jinja.render(turns, tools, thinking=thinking, keep=self.keep, opened=False)
        opening = self.jinja.opening(turns, tools, thinking=thinking, keep=self.keep, rendered=text)
        return text + opening if opened else text, opening

    def _turns(self, conversation: Conversation) -> tuple[list[Any], list[Any]]:
        """Messages and tools in the form that templates take, with what others wrote protected."""
        turns = [as_turn(message, self._protect) for message in conversation.messages]
        if self.release == "4.1v":
            turns = in_answer_tags(turns, self.keep)
        return turns, [self._protect(tool) for tool in conversation.tools]

    def _protect(self, value: Any) -> Any:
        return value if self.trust_text else self.guard.protect(value)

    def _marked(self, conversation: Conversation, prompt_only: bool) -> Iterator[Marked]:
        """The pieces of a conversation, and which are trained on."""
        text, opening = self._render(conversation, prompt_only)
        spoken = [message for message in conversation.messages if message.role == "assistant"]
        turns = [Turn(message.trained, bool(message.reasoning.strip())) for message in spoken]
        if prompt_only:
            turns.append(Turn(False, False))
        split = self.guard.split
        yield from mask(list(split(text)), list(split(opening)), turns, self.train_on)
        last = conversation.messages[-1]
        if not prompt_only and last.role == "assistant":
            yield Marked(
                "<|observation|>" if last.calls else self.end, True, last.trained and bool(self.train_on)
            )


def release_of(tokenizer: Tokenizer) -> Release:
    """The release whose form a tokenizer belongs to; `4.5v` where nothing speaks for another."""
    if getattr(tokenizer, "processor_class", "") == CLASS_OF["4.6v"]:
        return "4.6v"
    return "4.1v" if "[gMASK]" in tokenizer.controls and "<tool_call>" not in tokenizer.controls else "4.5v"
