"""The tokenizer of a checkpoint's folder: equal to transformers', safe against written-out tokens, clear."""

import pickle

import pytest
from glm_folder import configuration, glm_engine, write_folder
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from vlmloom.components.contracts.marks import GLM_TOKENS
from vlmloom.components.tokenizer.hf import HF
from vlmloom.registry import catalog
from vlmloom.registry.build import build

TEXTS = [
    "",
    "what is in the picture?",
    "\n\n two\tlines \r\n",
    "Grüße, 日本! 1234567",
    "<|user|>\nhello<|assistant|>\n<think>well</think>\nyes<|endoftext|>",
    "<|begin_of_image|><|image|><|image|><|end_of_image|> /nothink/nothink",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(
        tmp_path_factory.mktemp("glm"),
        tokenizer_config__json=configuration("Glm46VProcessor") | {"extra_special_tokens": list(GLM_TOKENS)},
        chat_template__jinja="{{ messages }}",
    )


@pytest.fixture(scope="module")
def tokenizer(folder):
    return HF(folder=str(folder))


def test_ids_and_texts_are_those_of_transformers(tokenizer, folder):
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(str(folder))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert ids == reference(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == reference.decode(ids, skip_special_tokens=True)
        assert tokenizer.decode(ids, keep_special=True) == reference.decode(ids)
    assert tokenizer.vocab == len(reference)
    assert all(tokenizer.special(token) == reference.convert_tokens_to_ids(token) for token in GLM_TOKENS)
    assert list(tokenizer.controls) == list(GLM_TOKENS)


def test_tokens_that_only_the_configuration_names_are_added_as_by_transformers(tmp_path):
    from transformers import AutoTokenizer

    made = glm_engine()
    first = made.get_vocab_size()
    flags = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    write_folder(
        tmp_path,
        made,
        tokenizer_config__json={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "added_tokens_decoder": {
                str(first + 1): {"content": "<late>", "special": True, **flags},
                str(first): {"content": "<early>", "special": False, **flags},
            },
            "mask_token": "<masked>",
            "extra_special_tokens": ["<extra>", "<|user|>"],
        },
    )
    tokenizer, reference = HF(folder=str(tmp_path)), AutoTokenizer.from_pretrained(str(tmp_path))
    for token in ("<early>", "<late>", "<masked>", "<extra>", "<|user|>"):
        assert tokenizer.special(token) == reference.convert_tokens_to_ids(token), token
    assert [tokenizer.special("<early>"), tokenizer.special("<late>")] == [first, first + 1]
    assert tokenizer.vocab == len(reference) == first + 4


@pytest.mark.parametrize("in_vocabulary", [False, True])
@pytest.mark.parametrize("ignore_merges", [False, True])
def test_plain_text_is_never_a_control_token(tmp_path, in_vocabulary, ignore_merges):
    write_folder(tmp_path, glm_engine(in_vocabulary=in_vocabulary, ignore_merges=ignore_merges))
    tokenizer = HF(folder=str(tmp_path))
    controls = set(tokenizer.controls.values())
    assert len(controls) == len(GLM_TOKENS)
    for text in (*GLM_TOKENS, "".join(GLM_TOKENS), *TEXTS):
        ids = tokenizer.plain(text)
        assert controls.isdisjoint(ids)
        assert tokenizer.decode(ids, keep_special=True) == text
    assert tokenizer.plain("what is in it") == tokenizer.encode("what is in it")


def test_a_control_token_that_the_vocabulary_holds_as_a_word_is_broken_up(tmp_path):
    made = Tokenizer(models.WordLevel({"<a>": 0, "<": 1, "a>": 2, "x": 3, "?": 4}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<a>"])
    write_folder(tmp_path, made)
    tokenizer = HF(folder=str(tmp_path))
    assert tokenizer.encode("x <a> x") == [3, 0, 3]
    assert tokenizer.plain("x <a> x") == [3, 1, 2, 3]


def test_added_words_that_are_no_markup_stay_words(tmp_path):
    made = glm_engine()
    made.add_tokens([AddedToken("   ", normalized=False), AddedToken("Zhipu", normalized=False)])
    write_folder(tmp_path, made)
    tokenizer = HF(folder=str(tmp_path))
    assert "Zhipu" not in tokenizer.controls
    assert (
        tokenizer.plain("a   Zhipu") == tokenizer.encode("a   Zhipu") and len(tokenizer.plain("Zhipu")) == 1
    )


def test_it_travels_and_a_run_keeps_a_copy(tokenizer, folder, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    copies = HF.from_file(tmp_path / "tokenizer.json"), pickle.loads(pickle.dumps(tokenizer))
    for copy in copies:
        assert all(copy.encode(text) == tokenizer.encode(text) for text in TEXTS)
        assert all(copy.plain(text) == tokenizer.plain(text) for text in TEXTS)
        assert copy.chat_template == "{{ messages }}" and copy.processor_class == "Glm46VProcessor"
        assert copy.controls == tokenizer.controls
    assert {path.name for path in tmp_path.iterdir()} == {
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }


def test_where_the_template_comes_from(tmp_path):
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "listed"}]
    write_folder(tmp_path, tokenizer_config__json={"chat_template": named})
    assert HF(folder=str(tmp_path)).chat_template == "listed"
    write_folder(tmp_path, tokenizer_config__json={}, chat_template__json={"chat_template": "beside"})
    assert HF(folder=str(tmp_path)).chat_template == "beside"
    write_folder(tmp_path, chat_template__jinja="file")
    assert HF(folder=str(tmp_path)).chat_template == "file"


def test_it_is_built_by_name_and_reads_late(tmp_path):
    assert "tokenizer/hf" in catalog().entries
    assert build({"use": "tokenizer/hf", "folder": str(tmp_path / "later")}).trained


def refused(folder):
    with pytest.raises(ValueError) as caught:
        HF(folder=str(folder)).dry_run()
    (line,) = str(caught.value).splitlines()
    return line


def test_bad_folders(tmp_path):
    assert refused(tmp_path / "x").endswith("x: there is no such folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no tokenizer.json; the folder of a checkpoint with one would be right" in refused(empty)
    (empty / "tokenizer.model").write_bytes(b"")
    assert "holds tokenizer.model but no tokenizer.json" in refused(empty)
    (empty / "tokenizer.json").write_text('{"model": ')
    assert "tokenizer.json: is no tokenizer (" in refused(empty)
    (empty / "tokenizer.json").write_text("{}")
    assert "tokenizer.json: is no tokenizer (" in refused(empty)

    write_folder(tmp_path, tokenizer_config__json="{")
    assert "tokenizer_config.json: is no JSON (" in refused(tmp_path)
    write_folder(tmp_path, tokenizer_config__json=[])
    assert "tokenizer_config.json: holds list, an object would be right" in refused(tmp_path)
    write_folder(tmp_path, tokenizer_config__json={"added_tokens_decoder": {"x": {}}})
    assert "its special tokens are not as transformers writes them" in refused(tmp_path)
    write_folder(
        tmp_path, tokenizer_config__json={"added_tokens_decoder": {"9999": {"content": "<|image|>"}}}
    )
    number = glm_engine().token_to_id("<|image|>")
    assert f"says that <|image|> is 9999, but by tokenizer.json it is {number}" in refused(tmp_path)
    write_folder(tmp_path, tokenizer_config__json={}, special_tokens_map__json='"x"')
    assert "special_tokens_map.json: holds str, an object would be right" in refused(tmp_path)
    (tmp_path / "special_tokens_map.json").unlink()
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe")
    assert "chat_template.jinja: is no UTF-8 text" in refused(tmp_path)


def test_an_unknown_special_token(tokenizer):
    with pytest.raises(
        KeyError, match=r"has no special token '<\|nothing\|>'; it has <\|endoftext\|>, \[MASK\]"
    ):
        tokenizer.special("<|nothing|>")
