"""Samples as GLM turns: blocks, labels, layout, and the ways to leave pictures out."""

import pickle
import time

import numpy as np
import pytest

from vlmloom.components.contracts.packed import IGNORE, Span
from vlmloom.components.contracts.sample import Picture, Sample, Scene
from vlmloom.components.processor.chat import Chat
from vlmloom.components.tokenizer.bpe import BPE

TEXTS = ["what is this?", "dog", "which shows the hat?", "first", "dog [0,0,500,500]", "hat [1,2,3,4]"]


class Blank(Picture):
    def __init__(self, frames=1):
        self.frames, self.height, self.width, self.key = frames, 64, 64, "blank"

    def render(self):
        return np.zeros((self.frames, 64, 64, 3), np.uint8)


def ask(*prompt, answer="dog", caption="dog [0,0,500,500]"):
    return Sample("name", "train", 0, list(prompt), answer, Scene("s"), caption)


@pytest.fixture(scope="module")
def tokenizer():
    return BPE().train(TEXTS)


@pytest.fixture(scope="module")
def chat(tokenizer):
    return Chat(tokenizer=tokenizer)


def shown(tokenizer, ids):
    return tokenizer.decode(ids, keep_special=True)


def test_one_picture(chat, tokenizer):
    encoded = chat.encode(ask(Blank(), "what is this?"), [(1, 2, 3)])
    assert shown(tokenizer, encoded.ids) == (
        "<|user|><|begin_of_image|>"
        + "<|image|>" * 6
        + "<|end_of_image|> what is this?<|assistant|> dog<|endoftext|>"
    )
    assert encoded.visual == list(range(2, 8))
    assert encoded.layout == [Span(2), Span(6, (1, 2, 3)), Span(len(encoded) - 8)]


def test_only_the_answer_and_the_end_are_trained_on(chat, tokenizer):
    encoded = chat.encode(ask(Blank(), "what is this?"), [(1, 2, 2)])
    trained = [label for label in encoded.labels if label != IGNORE]
    assert shown(tokenizer, trained) == " dog<|endoftext|>"
    assert encoded.labels[-len(trained) :] == encoded.ids[-len(trained) :] == trained


def test_a_clip_is_one_block_a_merged_frame(chat, tokenizer):
    encoded = chat.encode(ask(Blank(4), "what is this?"), [(2, 1, 2)])
    block = "<|begin_of_image|><|image|><|image|><|end_of_image|>"
    assert shown(tokenizer, encoded.ids).startswith(f"<|user|>{block}{block} what")
    assert [span.grid for span in encoded.layout] == [None, (1, 1, 2), None, (1, 1, 2), None]


def test_two_pictures_around_text_and_none(chat, tokenizer):
    grids = [(1, 1, 1), (1, 2, 2)]
    encoded = chat.encode(ask(Blank(), "dog", Blank(), "which shows the hat?"), grids)
    assert [span.grid for span in encoded.layout if span.grid] == grids
    assert [encoded.ids[place] for place in encoded.visual] == [tokenizer.special("<|image|>")] * 5
    plain = chat.encode(ask("what is this?"), [])
    assert plain.visual == [] and plain.layout == [Span(len(plain))]


@pytest.mark.parametrize("pictures", ["tokens", "withheld", "caption"])
@pytest.mark.parametrize("frames", [1, 4])
def test_length_and_layout_add_up(tokenizer, pictures, frames):
    chat = Chat(tokenizer=tokenizer, pictures=pictures)
    for sample, grids in (
        (ask(Blank(frames), "what is this?"), [(max(frames // 2, 1), 3, 2)]),
        (ask(Blank(), "dog", Blank(), "hat"), [(1, 1, 1), (1, 4, 4)]),
        (ask("what is this?", answer=""), []),
    ):
        encoded = chat.encode(sample, grids)
        assert len(encoded) == len(encoded.labels) == sum(span.length for span in encoded.layout)
        assert chat.length(sample, grids) == len(encoded)


def test_the_prompt_alone_is_where_the_whole_begins(chat):
    sample = ask(Blank(), "what is this?")
    prompt, whole = chat.encode(sample, [(1, 2, 2)], prompt_only=True), chat.encode(sample, [(1, 2, 2)])
    assert whole.ids[: len(prompt)] == prompt.ids and prompt.visual == whole.visual
    assert set(prompt.labels) == {IGNORE} and prompt.ids[-1] == chat.assistant
    assert sum(span.length for span in prompt.layout) == len(prompt)


def test_pictures_withheld_or_in_words(tokenizer):
    sample = ask(Blank(), Blank(), "what is this?")
    blind = Chat(tokenizer=tokenizer, pictures="withheld").encode(sample, [])
    assert shown(tokenizer, blind.ids) == "<|user|> what is this?<|assistant|> dog<|endoftext|>"
    told = Chat(tokenizer=tokenizer, pictures="caption").encode(sample, [])
    assert shown(tokenizer, told.ids) == (
        "<|user|> dog [0,0,500,500]. what is this?<|assistant|> dog<|endoftext|>"
    )


def test_answers_end_at_the_end_token(chat, tokenizer):
    assert chat.answer([*tokenizer.encode(" dog"), chat.end, *tokenizer.encode(" hat")]) == "dog"
    assert chat.answer([]) == ""


@pytest.mark.parametrize(("pictures", "grids"), [(1, 0), (1, 2), (0, 1)])
def test_grids_and_pictures_have_to_agree(chat, pictures, grids):
    message = f"name 0: has {pictures} pictures, but {grids} grids were given"
    with pytest.raises(ValueError, match=message):
        chat.encode(ask(*[Blank()] * pictures, "dog"), [(1, 1, 1)] * grids)


def test_an_unknown_way_with_pictures(tokenizer):
    with pytest.raises(ValueError, match="pictures is 'hidden', but may be tokens, withheld or caption"):
        Chat(tokenizer=tokenizer, pictures="hidden")


def test_it_travels_and_it_is_fast(chat):
    copy = pickle.loads(pickle.dumps(chat))
    sample = ask(Blank(), "what is this?")
    assert copy.encode(sample, [(1, 4, 4)]).ids == chat.encode(sample, [(1, 4, 4)]).ids
    begin = time.process_time()
    for _ in range(2000):
        chat.encode(sample, [(1, 4, 4)])
    assert time.process_time() - begin < 2000 / 3000
