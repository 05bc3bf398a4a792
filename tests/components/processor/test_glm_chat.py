"""Conversations as GLM's turns: what is written, what is trained on, what is refused."""

import pickle
import time

import pytest
from blank import Blank
from glm_folder import configuration, write_folder

from vlmloom.components.contracts.conversation import Conversation, Message, ToolCall
from vlmloom.components.contracts.packed import IGNORE, Span
from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.processor.chat import Chat
from vlmloom.components.processor.glm_chat import GlmChat
from vlmloom.components.tokenizer.bpe import BPE
from vlmloom.components.tokenizer.hf import HF

ZOOM = {"name": "zoom", "parameters": {"type": "object", "properties": {"box": {"type": "array"}}}}
AGENT = Conversation(
    [
        Message("system", ["Be brief."]),
        Message("user", ["hello"]),
        Message("assistant", ["hi"], "a greeting"),
        Message("user", [Blank(), "read the sign"]),
        Message("assistant", ["Let me look."], "small print", [ToolCall("zoom", {"box": [1, 2, 3, 4]})]),
        Message("tool", ["done", Blank()]),
        Message("assistant", ["STOP"], "now I see"),
    ],
    [ZOOM],
    thinking=True,
)
GRIDS = [(1, 1, 2), (1, 2, 2)]
CALL = "<tool_call>zoom\n<arg_key>box</arg_key>\n<arg_value>[1, 2, 3, 4]</arg_value>\n</tool_call>"


def ask(*prompt, answer="dog"):
    return Sample("name", "train", 0, list(prompt), answer, Scene("s"))


def chat(tokenizer, **options):
    return GlmChat(tokenizer=tokenizer, **options)


def shown(tokenizer, ids):
    return tokenizer.decode(ids, keep_special=True)


def trained(processor, encoded):
    """What has labels, one string a run of them."""
    runs, inside = [], False
    for token, label in zip(encoded.ids, encoded.labels, strict=True):
        assert label in (IGNORE, token)
        if label != IGNORE:
            runs = runs if inside else [*runs, []]
            runs[-1].append(token)
        inside = label != IGNORE
    return [shown(processor.tokenizer, run) for run in runs]


# --- samples of tasks -------------------------------------------------------------------------------------


def test_a_sample_without_thinking(tokenizer):
    processor = chat(tokenizer)
    encoded = processor.encode(ask(Blank(), "what is this?"), [(1, 2, 3)])
    assert shown(tokenizer, encoded.ids) == (
        "[gMASK]<sop><|user|>\n<|begin_of_image|>"
        + "<|image|>" * 6
        + "<|end_of_image|>what is this?/nothink<|assistant|>\n<think></think>\ndog<|user|>"
    )
    assert trained(processor, encoded) == ["dog<|user|>"]
    assert encoded.ids.count(tokenizer.special("/nothink")) == 1
    first, picture, rest = encoded.layout
    assert (picture, first.grid, rest.grid) == (Span(6, (1, 2, 3)), None, None)
    assert encoded.visual == list(range(first.length, first.length + 6))


def test_a_sample_with_thinking_trains_on_the_empty_thought(tokenizer):
    processor = chat(tokenizer, thinking=True)
    encoded = processor.encode(ask("what?"), [])
    assert shown(tokenizer, encoded.ids).endswith("what?<|assistant|>\n<think></think>\ndog<|user|>")
    assert trained(processor, encoded) == ["<think></think>\ndog<|user|>"]


def test_the_first_release_writes_neither_switch_nor_thought(first_tokenizer):
    processor = chat(first_tokenizer, release="4.1v", end="<|endoftext|>")
    encoded = processor.encode(ask("what?"), [])
    assert shown(first_tokenizer, encoded.ids) == "[gMASK]<sop><|user|>\nwhat?<|assistant|>\ndog<|endoftext|>"
    assert trained(processor, encoded) == ["dog<|endoftext|>"]


@pytest.mark.parametrize(("release", "times"), [("4.5v", ["0", "1", "12"]), ("4.6v", ["0.0", "1.5", "12.2"])])
def test_a_clip_is_pairs_of_frames_with_their_times(tokenizer, release, times):
    clip = Blank(5, times=[0.0, 0.5, 1.5, 1.9, 12.25])
    encoded = chat(tokenizer, release=release).encode(ask(clip, "what?"), [(3, 1, 2)])
    unit = " seconds" if release == "4.6v" else ""
    block = "<|begin_of_image|><|image|><|image|><|end_of_image|>"
    blocks = "".join(f"{block}{time}{unit}" for time in times)
    expected = f"<|user|>\n<|begin_of_video|>{blocks}<|end_of_video|>what?"
    assert expected in shown(tokenizer, encoded.ids)
    assert [span.grid for span in encoded.layout if span.grid] == [(1, 1, 2)] * 3


def test_times_follow_the_fold_of_the_tower(tokenizer):
    clip = Blank(4, times=[0, 3, 6, 9])
    for frames, expected in ((4, "0369"), (2, "06"), (1, "0")):
        encoded = chat(tokenizer).encode(ask(clip), [(frames, 1, 1)])
        text = shown(tokenizer, encoded.ids)
        assert "".join(part[0] for part in text.split("<|end_of_image|>")[1:]) == expected


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("frames", [1, 4])
def test_length_layout_and_prompt_add_up(tokenizer, thinking, frames):
    processor = chat(tokenizer, thinking=thinking)
    for sample, grids in (
        (ask(Blank(frames), "what is this?"), [(max(frames // 2, 1), 3, 2)]),
        (ask(Blank(), "dog", Blank(), "hat"), [(1, 1, 1), (1, 4, 4)]),
        (ask("what is this?", answer="two\n\nlines"), []),
        (ask(answer=" padded\n"), []),
    ):
        whole = processor.encode(sample, grids)
        prompt = processor.encode(sample, grids, prompt_only=True)
        for encoded in (whole, prompt):
            assert len(encoded) == len(encoded.labels) == sum(span.length for span in encoded.layout)
        assert processor.length(sample, grids) == len(whole)
        assert whole.ids[: len(prompt)] == prompt.ids and whole.visual == prompt.visual
        assert set(prompt.labels) == {IGNORE} == set(whole.labels[: len(prompt)])
        assert IGNORE not in whole.labels[len(prompt) :]


def test_generated_ids_become_an_answer(tokenizer):
    processor = chat(tokenizer)
    for written, answer in (
        ("\ndog<|user|>\nmore", "dog"),
        ("<think>a\nb</think>\n it is <|begin_of_box|> 7 <|end_of_box|>.<|endoftext|>", "7"),
        ("<think>never ending", ""),
        ("", ""),
    ):
        assert processor.answer(tokenizer.encode(written)) == answer
    assert set(processor.stops) == {
        tokenizer.special(token) for token in ("<|endoftext|>", "<|user|>", "<|observation|>")
    }
    assert tokenizer.special("<|image|>") in processor.never


def test_a_nano_tokenizer_keeps_its_words(tmp_path):
    sample = ask(Blank(), "what is this?", answer="dog")
    tokenizer = BPE(special="glm").train(["what is this?", "dog", "7"])
    processor = chat(tokenizer)
    encoded = processor.encode(sample, [(1, 1, 1)])
    plain = Chat(tokenizer=tokenizer).encode(sample, [(1, 1, 1)])
    # [gMASK] <sop>, two line breaks, /nothink, <think> </think> and a line break, beyond the plain form.
    assert len(encoded) == len(plain) + 8
    assert trained(processor, encoded) == [" dog<|user|>"]
    assert processor.answer(encoded.ids[encoded.labels.index(encoded.ids[-2]) :]) == "dog"
    assert trained(processor, processor.encode(ask("7", answer="7"), [])) == ["7<|user|>"]


def test_it_travels_and_it_is_fast(tokenizer):
    processor = chat(tokenizer)
    copy = pickle.loads(pickle.dumps(processor))
    sample = ask(Blank(), "what is <|user|> this?")
    assert copy.encode(sample, [(1, 4, 4)]).ids == processor.encode(sample, [(1, 4, 4)]).ids
    begin = time.process_time()
    for _ in range(1000):
        processor.encode(sample, [(1, 4, 4)])
    assert time.process_time() - begin < 1000 / 1500


# --- conversations ----------------------------------------------------------------------------------------


def test_what_an_agent_s_conversation_trains_on(tokenizer):
    processor = chat(tokenizer)
    encoded = processor.encode_conversation(AGENT, GRIDS)
    assert trained(processor, encoded) == [
        # Its reasoning was dropped since the user spoke again: the empty thought is not what to learn.
        "\nhi<|user|>",
        f"<think>small print</think>\nLet me look.\n{CALL}<|observation|>",
        "<think>now I see</think>\nSTOP<|user|>",
    ]
    kept = chat(tokenizer, reasoning="all").encode_conversation(AGENT, GRIDS)
    assert trained(processor, kept)[0] == "<think>a greeting</think>\nhi<|user|>"
    assert [span.grid for span in encoded.layout if span.grid] == GRIDS


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            ("reasoning",),
            [
                "<|user|>",
                "<think>small print</think>",
                "<|observation|>",
                "<think>now I see</think>",
                "<|user|>",
            ],
        ),
        (("content",), ["\nhi<|user|>", "\nLet me look.\n", "<|observation|>", "\nSTOP<|user|>"]),
        (("calls",), ["<|user|>", f"{CALL}<|observation|>", "<|user|>"]),
        ((), []),
    ],
)
def test_parts_can_be_left_out_of_the_loss(tokenizer, parts, expected):
    processor = chat(tokenizer, train_on=parts)
    assert trained(processor, processor.encode_conversation(AGENT, GRIDS)) == expected


def test_the_ids_are_the_same_whatever_is_trained_on(tokenizer):
    ids = {
        tuple(chat(tokenizer, train_on=parts).encode_conversation(AGENT, GRIDS).ids)
        for parts in ((), ("reasoning",), ("content",), ("calls",), ("reasoning", "content", "calls"))
    }
    assert len(ids) == 1


def test_a_wrong_step_stays_in_view_without_labels(tokenizer):
    processor = chat(tokenizer)
    messages = list(AGENT.messages)
    wrong = messages[4]
    messages[4] = Message(wrong.role, wrong.parts, wrong.reasoning, wrong.calls, trained=False)
    masked = processor.encode_conversation(Conversation(messages, AGENT.tools, thinking=True), GRIDS)
    whole = processor.encode_conversation(AGENT, GRIDS)
    assert masked.ids == whole.ids
    assert trained(processor, masked) == [*trained(processor, whole)[:1], *trained(processor, whole)[2:]]


def test_a_prompt_is_where_the_turn_begins(tokenizer):
    processor = chat(tokenizer)
    whole = processor.encode_conversation(AGENT, GRIDS)
    for turns, pictures in ((2, 0), (4, 1), (6, 2)):
        start = Conversation(AGENT.messages[:turns], AGENT.tools, AGENT.thinking)
        prompt = processor.encode_conversation(start, GRIDS[:pictures], prompt_only=True)
        assert set(prompt.labels) == {IGNORE}
        if turns > 2:  # Earlier reasoning was still there when the assistant first spoke.
            assert whole.ids[: len(prompt)] == prompt.ids
        assert shown(tokenizer, prompt.ids).endswith("<|assistant|>\n")


def test_a_trajectory_of_ids_goes_on_without_being_encoded_anew(tokenizer):
    processor = chat(tokenizer)
    encoded = processor.encode_conversation(AGENT, GRIDS)
    again = processor.encode_ids(encoded.ids, GRIDS)
    assert (again.ids, again.layout, again.visual) == (encoded.ids, encoded.layout, encoded.visual)
    assert set(again.labels) == {IGNORE}


def test_the_text_of_a_conversation(tokenizer):
    text = chat(tokenizer).render(Conversation([Message("user", [Blank(), "<|image|>?"])]), prompt_only=True)
    assert text == (
        "[gMASK]<sop><|user|>\n<|begin_of_image|><|image|><|end_of_image|><|image|>?/nothink"
        "<|assistant|>\n<think></think>\n"
    )


# --- what is refused --------------------------------------------------------------------------------------


def refused(processor, *messages, grids=(), prompt=False, tools=()):
    with pytest.raises(ValueError) as caught:
        processor.encode_conversation(Conversation(messages, tools), grids, prompt_only=prompt)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(("pictures", "grids"), [(1, 0), (1, 2), (0, 1), (3, 2)])
def test_grids_and_pictures_have_to_agree(tokenizer, pictures, grids):
    processor = chat(tokenizer)
    message = f"name 0: has {pictures} pictures, but {grids} grids were given"
    with pytest.raises(ValueError, match=message):
        processor.encode(ask(*[Blank()] * pictures, "dog"), [(1, 1, 1)] * grids)
    with pytest.raises(ValueError, match=f"the prompt: has {pictures} pictures, but {grids} grids"):
        processor.encode_prompt("", [Blank()] * pictures, [(1, 1, 1)] * grids)


@pytest.mark.parametrize(("placeholders", "pictures"), [(0, 1), (1, 0), (3, 2), (2, 3)])
def test_placeholders_and_pictures_have_to_agree(tokenizer, placeholders, pictures):
    message = f"the prompt has {placeholders} placeholders, but {pictures} pictures or clips were given"
    text = "<|user|>\n" + "<|begin_of_image|><|image|><|end_of_image|>" * placeholders
    with pytest.raises(ValueError, match=message):
        chat(tokenizer).encode_prompt(text, [Blank()] * pictures, [(1, 1, 1)] * pictures)


def test_stills_and_clips_have_to_agree(tokenizer):
    processor = chat(tokenizer)
    with pytest.raises(ValueError, match=r"placeholder 1 is <\|video\|>, but picture 1 is a still"):
        processor.encode_prompt("<|video|>", [Blank()], [(1, 1, 1)])
    with pytest.raises(ValueError, match=r"placeholder 2 is <\|image\|>, but picture 2 is a clip"):
        processor.encode_prompt("<|image|><|image|>", [Blank(), Blank(2)], [(1, 1, 1)] * 2)
    with pytest.raises(ValueError, match="blank: has 4 frames, but 3 times"):
        processor.encode(ask(Blank(4, times=[1, 2, 3])), [(2, 1, 1)])


def test_ids_outside_the_vocabulary(tokenizer):
    processor = chat(tokenizer)
    image = tokenizer.special("<|image|>")
    with pytest.raises(ValueError) as caught:
        processor.encode_ids([5, tokenizer.vocab], [])
    assert str(caught.value) == (
        f"the prompt: id {tokenizer.vocab} at position 1 is outside the vocabulary of {tokenizer.vocab} ids "
        f"(0 to {tokenizer.vocab - 1})"
    )
    with pytest.raises(ValueError, match="id -1 at position 0 is outside"):
        processor.encode_ids([-1], [])
    with pytest.raises(ValueError, match="3 image placeholders at position 1, but a grid of 1 x 2 x 2"):
        processor.encode_ids([5, image, image, image], [(1, 2, 2)])
    with pytest.raises(ValueError, match="1 image placeholders at position 1, but no grid is left"):
        processor.encode_ids([5, image], [])
    with pytest.raises(ValueError, match="has placeholders for 1 grids, but 2 grids were given"):
        processor.encode_ids([5, image], [(1, 1, 1)] * 2)


def test_malformed_conversations(tokenizer):
    processor = chat(tokenizer)
    user, call = Message("user", ["x"]), ToolCall("f", {})
    asked = Message("assistant", ["y"], calls=[call])
    result = Message("tool", ["z"])
    assert refused(processor) == "the conversation: has no messages"
    assert refused(processor, Message("human", ["x"])) == (
        "the conversation: messages[0]: the role is 'human', but may be system, user, assistant or tool"
    )
    assert "messages[1]: a tool's result without a call before it" in refused(processor, user, result)
    assert "messages[2]: a tool's result without a call" in refused(
        processor, user, Message("assistant", ["y"]), result
    )
    assert "messages[3]: 2 results for the 1 calls of messages[1]" in refused(
        processor, user, asked, result, result
    )
    assert "messages[0]: a turn of the user holds tool calls" in refused(
        processor, Message("user", ["x"], calls=[call])
    )
    assert "messages[0]: a turn of the system holds reasoning" in refused(
        processor, Message("system", ["x"], "hm")
    )
    assert "a turn of the assistant holds a picture, but only a user or a tool" in refused(
        processor, user, Message("assistant", [Blank()]), grids=[(1, 1, 1)]
    )
    assert "messages[0]: parts is a text, but a list of texts and pictures" in refused(
        processor, Message("user", "hello")
    )
    assert "messages[0]: a part is of type int, but may be a text or a picture" in refused(
        processor, Message("user", [7])
    )
    assert "the arguments of a call are no JSON (Object of type" in refused(
        processor, user, Message("assistant", calls=[ToolCall("f", {"a": {1, 2}})])
    )


@pytest.mark.parametrize("last", [Message("assistant", ["y"]), Message("system", ["y"])])
def test_a_prompt_has_to_end_before_the_assistant(tokenizer, last):
    line = refused(chat(tokenizer), Message("user", ["x"]), last, prompt=True)
    assert line == (
        f"the conversation: messages[1]: the last turn is the {last.role}'s, but a prompt ends with "
        "a user's turn or a tool's result"
    )


def test_the_first_release_knows_no_tools(first_tokenizer):
    processor = chat(first_tokenizer, release="4.1v")
    message = "GLM-4.1V knows no tools; release: 4.5v would be right"
    assert message in refused(processor, Message("user", ["x"]), tools=[ZOOM])
    called = Message("assistant", ["y"], calls=[ToolCall("f", {})])
    assert message in refused(processor, Message("user", ["x"]), called)


def test_options_that_do_not_fit(tokenizer, first_tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"release is '5', but may be 4\.1v, 4\.5v, 4\.6v"):
        chat(tokenizer, release="5")
    with pytest.raises(ValueError, match="train_on is 'words', but may be reasoning, content, calls"):
        chat(tokenizer, train_on=["words"])
    with pytest.raises(ValueError) as caught:
        chat(first_tokenizer, release="4.5v")
    (line,) = str(caught.value).splitlines()
    assert line.endswith(
        "lacks the special tokens <think> </think> <tool_call> </tool_call> <tool_response> </tool_response> "
        "<arg_key> </arg_key> <arg_value> </arg_value> /nothink; the folder of a GLM checkpoint, or "
        "tokenizer/bpe with special: glm, would be right"
    )
    with pytest.raises(ValueError, match=r"tokenizer/bpe lacks the special tokens \[gMASK\] <sop> "):
        chat(BPE().train(["dog"]))
    with pytest.raises(ValueError, match=r"lacks the special tokens <\|stop\|>;"):
        chat(tokenizer, end="<|stop|>")


def test_the_folder_says_which_release_it_is(tokenizer, first_tokenizer, tmp_path):
    assert chat(tokenizer).release == chat(BPE(special="glm").train(["dog"])).release == "4.5v"
    assert chat(first_tokenizer).release == "4.1v"
    folder = write_folder(tmp_path, tokenizer_config__json=configuration("Glm46VProcessor"))
    assert chat(HF(folder=str(folder))).release == "4.6v"


@pytest.mark.parametrize(
    ("release", "made_for", "right"), [("4.5v", "Glm46V", "4.6v"), ("4.6v", "Glm4v", "4.1v or 4.5v")]
)
def test_another_release_than_the_folder_s_is_refused(tmp_path, release, made_for, right):
    folder = write_folder(tmp_path, tokenizer_config__json=configuration(f"{made_for}Processor"))
    with pytest.raises(ValueError) as caught:
        chat(HF(folder=str(folder)), release=release)
    assert str(caught.value) == (
        f"processor/glm_chat: release is {release}, but tokenizer/hf: {folder} is made for "
        f"{made_for}Processor; release: {right} would be right"
    )
