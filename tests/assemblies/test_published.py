"""Published sizes: what `vlmloom show` tells of them, beside what transformers' own classes count."""

import contextlib
import io
import json
import time

import pytest
import torch

from vlmloom.pipelines.cli import main

transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True, scope="module")
def warm():
    """What a first call imports is not counted below."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["show", "native", "--json"]) == 0


def show(scale, capsys, *options):
    """The JSON of `vlmloom show`, and the seconds of computing that it took."""
    clock = time.process_time()
    assert main(["show", "native", "--scale", scale, "--json", *options]) == 0
    return json.loads(capsys.readouterr().out), time.process_time() - clock


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def part(shown, name):
    return next(child for child in shown["tree"]["children"] if child["name"] == name)


def reference(name, **config):
    """One of transformers' models on the meta device."""
    with torch.device("meta"):
        return getattr(transformers, name)(
            getattr(transformers, name.partition("For")[0] + "Config")(**config)
        )


def test_glm_ocr(capsys):
    shown, seconds = show("glm_ocr", capsys)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [16, 24, 24]}
    text = {
        "vocab_size": 59392, "hidden_size": 1536, "intermediate_size": 4608, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "rope_parameters": rope,
    }  # fmt: skip
    theirs = reference(
        "GlmOcrForConditionalGeneration", text_config=text, vision_config={"out_hidden_size": 1536}
    )
    parameters = shown["parameters"]
    assert parameters["without_other_heads"] == count(theirs) == 1_107_405_824
    assert parameters["vision"] + parameters["projector"] == count(theirs.model.visual)
    assert parameters["active"] == count(theirs.model.language_model.layers) + 1536
    assert parameters["embedding"] == parameters["output_head"] == count(theirs.lm_head)
    # One more layer, two norms before and one after it, the joint projection, and the copies of both tables.
    module = count(theirs.model.language_model.layers[0]) + 3 * 1536 + 2 * 1536 * 1536
    assert parameters["other_heads"] == module + 2 * count(theirs.lm_head)
    assert parameters["total"] == 1_325_258_240
    assert (
        part(shown, "vision")["blocks"]["parameters"]["total"]
        == count(theirs.model.visual.blocks)
        == 403_024_896
    )
    assert seconds < 20


def test_glm4_5v(capsys):
    shown, seconds = show("glm4_5v_106b_a12b", capsys)
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": [8, 12, 12],
    }
    theirs = reference(
        "Glm4vMoeForConditionalGeneration",
        text_config={"vocab_size": 151552, "head_dim": 128, "rope_parameters": rope},
    )
    words = theirs.model.language_model
    parameters = shown["parameters"]
    assert parameters["total"] == parameters["without_other_heads"] == count(theirs)
    assert round(parameters["total"] / 1e9, 2) == 107.74
    language = part(shown, "language")["parameters"]["total"] + parameters["output_head"]
    assert language == count(words) + count(theirs.lm_head) and round(language / 1e9, 2) == 106.85
    idle = count(words.layers[-1].mlp.experts) * (128 - 8) // 128
    assert parameters["active"] == count(words.layers) - 45 * idle + 4096
    assert round(parameters["active"] / 1e9, 1) == 12.2
    assert parameters["vision"] + parameters["projector"] == count(theirs.model.visual)
    assert seconds < 20


def test_glm4_1v(capsys):
    shown, seconds = show("glm4_1v_9b", capsys)
    theirs = reference("Glm4vForConditionalGeneration")
    assert shown["parameters"]["total"] == count(theirs)
    assert shown["parameters"]["active"] == count(theirs.model.language_model.layers) + 4096
    assert seconds < 20


def test_glm5(capsys):
    shown, seconds = show("glm5_744b_a40b", capsys)
    theirs = reference("GlmMoeDsaForCausalLM")
    parameters = shown["parameters"]
    assert parameters["without_other_heads"] == count(theirs) == 743_911_199_232
    layers = theirs.model.layers
    idle = count(layers[-1].mlp.experts) * (256 - 8) // 256
    assert parameters["active"] == count(layers) - 75 * idle + 6144 == 39_881_544_192
    assert parameters["other_heads"] == count(layers[-1]) + 3 * 6144 + 2 * 6144**2
    assert shown["bytes"]["weights"] >= 4 * parameters["total"]
    assert 0 <= shown["bytes"]["bf16"] - 2 * parameters["total"] < 1e6, "but for what routers count"
    # Two operations a parameter that a token uses, and as many for the output matrix; attention comes on top.
    tokens = shown["flops"]["per_token_by_part"]
    assert 1 < tokens["language"] / (2 * parameters["active"]) < 1.1
    assert tokens["head.lm"] == 2 * parameters["output_head"]
    assert seconds < 20


def test_glm5v_turbo(capsys):
    shown, seconds = show("glm5v_turbo", capsys)
    assert part(shown, "vision")["blocks"]["parameters"]["total"] == 403_024_896
    head = part(shown, "head.mtp")
    assert head["use"] == "head/mmtp"
    assert len([child for child in head["children"] if child["name"].endswith(".ffn")]) == 1, (
        "three share one"
    )
    assert (
        shown["flops"]["per_token_by_part"]["head.mtp"] > 3 * shown["flops"]["per_token_by_part"]["head.lm"]
    )
    assert seconds < 20


def test_glm5v_turbo_counted_by_hand(capsys):
    """Every matrix, bias and norm by its shape; experts and the module that three share are counted once."""
    width, words, heads = 6144, 154_880, 64
    tower = 1024 * 3 * 2 * 14**2 + 1024  # Two frames of 14 x 14, with a bias.
    attention = 3 * (1024 * 1024 + 1024) + (1024 * 1024 + 1024) + 2 * 64  # QK-norm over a head's 64.
    swiglu = 2 * (1024 * 4096 + 4096) + (4096 * 1024 + 1024)
    tower += 24 * (attention + swiglu + 2 * 1024) + 1024
    merger = (4 * 1024 * width + width) + width * width + 2 * width + 3 * width * 10_240
    query = width * 2048 + 2048 + 2048 * heads * (192 + 64)
    key_value = width * (512 + 64) + 512 + 512 * heads * (192 + 256)
    indexer = 2048 * 32 * 128 + width * 128 + 2 * 128 + width * 32
    around = query + key_value + heads * 256 * width + indexer + 2 * width
    expert = 3 * width * 2048
    sparse = around + 256 * width + (256 + 1) * expert
    dense = around + 3 * width * 12_288
    table = words * width
    backbone = table + 3 * dense + 75 * sparse + width + table
    module = 3 * width + 2 * width * width + sparse
    shown, _ = show("glm5v_turbo", capsys)
    parameters = shown["parameters"]
    assert parameters["vision"] == tower and parameters["projector"] == merger
    assert parameters["without_other_heads"] == tower + merger + backbone
    assert parameters["other_heads"] == module
    assert parameters["total"] == tower + merger + backbone + module == 754_520_027_392
    assert parameters["active"] == 3 * dense + 75 * (sparse - 248 * expert) + width


@pytest.mark.parametrize(
    ("parameters", "written"),
    [(403_024_896, "403.02 M"), (1_107_405_824, "1,107.41 M"), (107_740_000_000, "107.74 B"), (999, "999")],
)
def test_counts_are_written_as_in_papers(parameters, written):
    from vlmloom.pipelines.verbs.show import count_of

    assert count_of(parameters) == written


def test_what_is_printed(capsys):
    assert main(["show", "native", "--scale", "glm_ocr"]) == 0
    shown = capsys.readouterr().out
    assert "1,325,258,240 (1,325.26 M); without multi-token heads 1,107.41 M" in shown
    assert "490.83 M for a token of text; beside them embedding 91.23 M, output head 91.23 M" in shown
    assert "weights in bf16 2.65 GB" in shown
