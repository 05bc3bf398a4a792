"""Text that arrives in tokens: never half a character, and all pieces together are the whole."""

import numpy as np
import pytest

from vlmloom.assemblies.generation import TextStream
from vlmloom.components.tokenizer.bpe import BPE

TEXTS = [
    "a plain line, with 3 numbers 1 2 3",
    "Größe 12 €, naïve café",
    "你好 世界 — 😀😃👩‍👩‍👧 done",
    "",
    "   spaces   around   ",
    "ends with 界",
]


@pytest.fixture(scope="module")
def tokenizer():
    # Trained on Latin text alone: every other character is several tokens.
    return BPE(vocab=300).train(["a plain line with numbers", "done spaces around"])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_pieces_make_the_whole_text_and_no_piece_holds_half_a_character(tokenizer, text, size):
    ids = tokenizer.plain(text)
    stream = TextStream(tokenizer.decode)
    pieces = [stream.push(ids[start : start + size]) for start in range(0, len(ids), size)]
    assert not any("�" in piece for piece in pieces)
    assert "".join([*pieces, stream.close()]) == tokenizer.decode(ids).strip() == text.strip()
    if size == 1 and len(text) > 5:
        assert sum(map(bool, pieces)) > 3, "text comes while it is written"


def test_a_character_comes_with_its_last_byte(tokenizer):
    ids = tokenizer.plain("x😀y")
    stream = TextStream(tokenizer.decode)
    assert [stream.push([token]) for token in ids] == ["x", "", "", "", "😀", "y"]


def test_half_a_character_at_the_end_is_not_swallowed(tokenizer):
    ids = tokenizer.plain("x😀")[:-1]
    stream = TextStream(tokenizer.decode)
    assert "".join(stream.push([token]) for token in ids) == "x"
    assert stream.close() == tokenizer.decode(ids)[1:] != ""


def test_bytes_at_random(tokenizer):
    """Whatever bytes a model writes, valid or not."""
    dice = np.random.default_rng(0)
    for _ in range(50):
        ids = dice.integers(10, 280, 20).tolist()
        stream = TextStream(tokenizer.decode)
        assert "".join([*map(stream.push, ([token] for token in ids)), stream.close()]) == (
            tokenizer.decode(ids).strip()
        )
