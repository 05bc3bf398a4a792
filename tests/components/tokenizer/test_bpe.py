"""The BPE: digits alone, words whole, the same ids every time, and safe files."""

import pickle

import pytest

from vlmloom.components.contracts.marks import GLM_TOKENS
from vlmloom.components.contracts.processor import lead
from vlmloom.components.tokenizer.bpe import BPE, SPECIAL

TEXTS = [
    "what is this?",
    "where is the dog from the guitar?",
    "guitar [12,40,380,300]; red dog [500,0,1000,620]",
    "value of the orange bar?",
    "7 + 12 =",
    "scissors",
]


@pytest.fixture(scope="module")
def tokenizer():
    return BPE().train(TEXTS)


def test_text_survives(tokenizer):
    for text in (*TEXTS, "Grüße, 日本! \n\t x_y", ""):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_and_brackets_stand_alone(tokenizer):
    tokens = tokenizer.engine.encode(" [120,7,1000,33]").tokens
    assert tokens == ["Ġ[", "1", "2", "0", ",", "7", ",", "1", "0", "0", "0", ",", "3", "3", "]"]


def test_words_of_the_text_are_single_tokens(tokenizer):
    for word in ("dog", "guitar", "scissors", "orange", "what"):
        assert len(tokenizer.encode(lead(word))) == 1
    assert tokenizer.encode(lead("dog")) == tokenizer.encode(" the dog")[1:]


def test_special_tokens_are_ids_and_leave_the_text(tokenizer):
    ids = tokenizer.encode("<|user|> dog<|assistant|>")
    assert ids == [
        tokenizer.special("<|user|>"),
        *tokenizer.encode(" dog"),
        tokenizer.special("<|assistant|>"),
    ]
    assert tokenizer.decode(ids) == " dog"
    assert tokenizer.decode(ids, keep_special=True) == "<|user|> dog<|assistant|>"
    assert sorted(tokenizer.special(token) for token in SPECIAL) == list(range(len(SPECIAL)))
    with pytest.raises(KeyError, match="no special token"):
        tokenizer.special("<|video|>")
    with pytest.raises(KeyError, match="no special token"):
        tokenizer.special("dog")


def test_written_out_special_tokens_can_stay_text(tokenizer):
    ids = tokenizer.plain("<|user|> dog")
    assert tokenizer.special("<|user|>") not in ids and tokenizer.decode(ids) == "<|user|> dog"
    assert tokenizer.plain(" dog") == tokenizer.encode(" dog")


def test_all_of_glm_s_special_tokens(tmp_path):
    tokenizer = BPE(special="glm").train(TEXTS)
    assert set(GLM_TOKENS) <= set(tokenizer.controls) and tokenizer.decode(tokenizer.encode("dog")) == "dog"
    assert set(SPECIAL) == set(BPE().train(TEXTS).controls)
    tokenizer.save(tmp_path / "tokenizer.json")
    assert BPE.from_file(tmp_path / "tokenizer.json").controls == tokenizer.controls
    assert BPE(special="glm").train_cached(TEXTS, tmp_path).controls == tokenizer.controls
    with pytest.raises(ValueError, match="vocab is 263, but bytes and special tokens take 293"):
        BPE(vocab=263, special="glm")


def test_the_order_and_number_of_texts_do_not_matter(tokenizer):
    other = BPE().train([*reversed(TEXTS), *TEXTS])
    assert other.engine.to_str() == tokenizer.engine.to_str()


def test_ids_stay_below_the_vocabulary():
    tokenizer = BPE(vocab=300).train([f"{a}{b}{c} word" for a in "abcdef" for b in "ghijkl" for c in "mnopq"])
    assert tokenizer.vocab == 300 and tokenizer.engine.get_vocab_size() == 300


def test_files_and_pickles_give_the_same_ids(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    for other in (
        BPE.from_file(tmp_path / "tokenizer.json"),
        BPE(file=str(tmp_path / "tokenizer.json")),
        pickle.loads(pickle.dumps(tokenizer)),
    ):
        assert all(other.encode(text) == tokenizer.encode(text) for text in TEXTS)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_training_is_cached_by_content_and_a_damaged_file_repaired(tmp_path, monkeypatch):
    first = BPE().train_cached(TEXTS, tmp_path)
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(BPE, "train", lambda *_: pytest.fail("was trained again"))
        second = BPE().train_cached(reversed(TEXTS), tmp_path)
    assert second.vocab == first.vocab == 1024 and second.encode("dog") == first.encode("dog")
    file.write_text(file.read_text()[:100])
    assert BPE().train_cached(TEXTS, tmp_path).encode("dog") == first.encode("dog")
    BPE(vocab=512).train_cached(TEXTS, tmp_path)
    BPE().train_cached([*TEXTS, "more"], tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_messages(tmp_path):
    with pytest.raises(ValueError, match="vocab is 100, but bytes and special tokens take 263"):
        BPE(vocab=100)
    with pytest.raises(ValueError, match="there is no such file"):
        BPE.from_file(tmp_path / "x.json")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json: is no tokenizer\.json"):
        BPE.from_file(tmp_path / "x.json")
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE()).save(str(tmp_path / "y.json"))
    with pytest.raises(ValueError, match=r"y\.json: lacks the special tokens <\|endoftext\|>"):
        BPE.from_file(tmp_path / "y.json")
    with pytest.raises(RuntimeError, match="train it on a suite's text, or give file="):
        BPE().encode("dog")
