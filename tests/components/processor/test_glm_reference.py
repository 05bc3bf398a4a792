"""Equality with transformers' processors of GLM-4.1V, 4.5V and 4.6V: ids, kinds of tokens, positions."""

import numpy as np
import pytest
import torch
from blank import Blank
from glm_folder import GLM_4_1V, configuration, glm_engine, write_folder

from vlmloom.components.contracts.conversation import Conversation, Message, ToolCall
from vlmloom.components.language.rotary import positions_of
from vlmloom.components.processor.glm_chat import GlmChat
from vlmloom.components.processor.glm_template import GlmTemplate
from vlmloom.components.processor.turns import as_turn
from vlmloom.components.tokenizer.hf import HF

RELEASES = ("4.1v", "4.5v", "4.6v")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("releases")
    return {
        release: write_folder(
            root / release,
            glm_engine(GLM_4_1V) if release == "4.1v" else None,
            tokenizer_config__json=configuration(
                "Glm46VProcessor" if release == "4.6v" else "Glm4vProcessor"
            ),
        )
        for release in RELEASES
    }


@pytest.fixture(scope="module")
def references(folders):
    from transformers import AutoTokenizer
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor
    from transformers.models.glm4v.processing_glm4v import Glm4vProcessor
    from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
    from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor
    from transformers.models.glm46v.processing_glm46v import Glm46VProcessor
    from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor

    made = {}
    for release, folder in folders.items():
        whole, image, video = (
            (Glm46VProcessor, Glm46VImageProcessor, Glm46VVideoProcessor)
            if release == "4.6v"
            else (Glm4vProcessor, Glm4vImageProcessor, Glm4vVideoProcessor)
        )
        made[release] = whole(image(), AutoTokenizer.from_pretrained(str(folder)), video())
    return made


@pytest.fixture(scope="module")
def chats(folders):
    return {
        release: GlmChat(tokenizer=HF(folder=str(folder)), release=release, thinking=True)
        for release, folder in folders.items()
    }


@pytest.fixture(scope="module")
def rope():
    """GLM-4V's own rule for positions, on a model of no size."""
    from transformers import Glm4vConfig, Glm4vModel

    config = Glm4vConfig(
        text_config={"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2, "vocab_size": 500},
        vision_config={"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 32},
    )
    with torch.device("meta"):
        return Glm4vModel(config).get_rope_index


STILL, WIDE, TALL = Blank(1, 112, 112), Blank(1, 84, 200), Blank(1, 170, 60)
CLIP = Blank(6, 112, 84, [0.0, 0.5, 1.0, 1.54, 2.0, 2.5])
ODD = Blank(5, 56, 112, [0.04, 0.96, 12.35, 59.9, 61.25])
CASES = {
    "text": ["what is 1234567?"],
    "image": [STILL, "what is this?"],
    "images": ["first ", WIDE, TALL, " and\n", STILL, "\nwhich is it?"],
    "video": [CLIP, "what happens?"],
    "mixed": [STILL, "and ", CLIP, "and", ODD, WIDE, "?"],
}


def called(reference, text, pictures):
    """What the reference makes of a rendered text; the frames of a clip are given, not sampled."""
    from transformers.video_utils import VideoMetadata

    stills = [picture.render()[0] for picture in pictures if not picture.times]
    clips = [picture for picture in pictures if picture.times]
    metadata = [
        VideoMetadata(
            total_num_frames=clip.frames,
            fps=100.0,
            frames_indices=[round(time * 100) for time in clip.times],
        )
        for clip in clips
    ]
    return reference(
        text=[text],
        images=stills or None,
        videos=[clip.render() for clip in clips] or None,
        video_metadata=metadata or None,
        do_sample_frames=False,
        return_tensors="pt",
    )


def merged_grids(found, pictures):
    stills, clips = (
        iter(found[key].tolist()) if key in found else iter(())
        for key in ("image_grid_thw", "video_grid_thw")
    )
    grids = [next(clips if picture.times else stills) for picture in pictures]
    return [(frames, rows // 2, columns // 2) for frames, rows, columns in grids]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("case", CASES)
def test_a_prompt_is_the_reference_s(references, chats, rope, release, case):
    chat, reference = chats[release], references[release]
    conversation = Conversation(
        [
            Message("system", ["You see well."]),
            Message("user", CASES[case]),
            Message("assistant", ["A dog."]),
            Message("user", ["\n\nReally? ", "Look."]),
        ]
    )
    turns = [as_turn(message, lambda text: text) for message in conversation.messages]
    text = GlmTemplate(release).render(turns, [], thinking=True, keep=False, opened=True)
    found = called(reference, text, conversation.pictures)
    grids = merged_grids(found, conversation.pictures)

    encoded = chat.encode_conversation(conversation, grids, prompt_only=True)
    assert encoded.ids == found["input_ids"][0].tolist()
    assert kinds(encoded, chat) == found["mm_token_type_ids"][0].tolist()
    expected, _ = rope(
        found["input_ids"],
        found["mm_token_type_ids"],
        found.get("image_grid_thw"),
        found.get("video_grid_thw"),
    )
    np.testing.assert_array_equal(positions_of(encoded.layout), expected[:, 0].numpy())

    # A prompt that was rendered elsewhere gives the same.
    again = chat.encode_prompt(text, conversation.pictures, grids)
    assert (again.ids, again.layout, again.visual) == (encoded.ids, encoded.layout, encoded.visual)


def kinds(encoded, chat):
    """0 for text, 1 for a still, 2 for a clip."""
    special, kind, inside = chat.tokenizer.special, [], 1
    for place, token in enumerate(encoded.ids):
        if token in (special("<|begin_of_video|>"), special("<|end_of_video|>")):
            inside = 2 if token == special("<|begin_of_video|>") else 1
        kind.append(inside if place in set(encoded.visual) else 0)
    return kind


@pytest.mark.parametrize("release", RELEASES)
def test_a_clip_without_times_has_the_reference_s(references, chats, release):
    clip, reference = Blank(60, 56, 56), references[release]
    text = "<|user|>\n<|begin_of_video|><|video|><|end_of_video|>what?"
    found = reference(text=[text], videos=[clip.render()], do_sample_frames=False, return_tensors="pt")
    (grid,) = found["video_grid_thw"].tolist()
    encoded = chats[release].encode_prompt(text, [clip], [(grid[0], grid[1] // 2, grid[2] // 2)])
    assert encoded.ids == found["input_ids"][0].tolist()


@pytest.mark.parametrize("release", ["4.5v", "4.6v"])
def test_reasoning_and_tools_are_tokens_as_in_the_reference(references, chats, release):
    call = ToolCall("zoom", {"box": [1, 2], "why": "a\nb"})
    tools = [{"type": "function", "function": {"name": "zoom", "description": "Zoom in.", "parameters": {}}}]
    conversation = Conversation(
        [
            Message("user", [STILL, "read the sign"]),
            Message("assistant", ["Let me look."], "small", [call]),
            Message("tool", ["done ", WIDE]),
            Message("assistant", ["<stop>"], "now I see"),
            Message("user", ["thanks"]),
        ],
        tools,
        thinking=False,
    )
    turns = [as_turn(message, lambda text: text) for message in conversation.messages]
    text = GlmTemplate(release).render(turns, tools, thinking=False, keep=False, opened=True)
    assert (
        "/nothink" in text and "<tool_call>zoom" in text and text.endswith("<|assistant|>\n<think></think>\n")
    )
    found = called(references[release], text, conversation.pictures)
    grids = merged_grids(found, conversation.pictures)
    encoded = chats[release].encode_conversation(conversation, grids, prompt_only=True)
    assert encoded.ids == found["input_ids"][0].tolist()
    labelled = chats[release].encode_conversation(
        Conversation(conversation.messages[:-1], tools, thinking=False), grids
    )
    whole = GlmTemplate(release).render(turns[:-1], tools, thinking=False, keep=False, opened=False)
    expected = called(references[release], whole + "<|user|>", conversation.pictures)["input_ids"][0].tolist()
    assert labelled.ids == expected
