"""A config.json of another architecture, or with values that no model has, is one clear line and a list."""

import json
import shutil

import pytest
from damaged import edit, put


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("llama", "model_type is 'llama', which has no key map; known: glm46v"),
        ("glm_ocr_text", "model_type is 'glm_ocr_text', which has no key map; did you mean glm_ocr"),
        (None, "model_type is None, which has no key map; known: "),
        (["glm_ocr"], "model_type is ['glm_ocr'], which has no key map; known: "),
        ("glm4v\nx", r"model_type is 'glm4v\nx'"),
    ],
)
def test_an_unknown_architecture(released, refused, named, message):
    edit(released / "config.json", lambda config: config.update(model_type=named))
    said = refused("import", released)
    assert "released/config.json: " in said and message in said


@pytest.mark.parametrize("named", ["glm4v", "glm46v", "glm4v_moe", "glm_moe_dsa"])
def test_another_architecture_under_this_configuration(released, refused, named):
    edit(released / "config.json", lambda config: config.update(model_type=named))
    said = refused("import", released)
    assert named != "glm4v" or "text_config.head_dim is 16, where this family has 8\n" in said


@pytest.mark.parametrize("named", ["glm4v_moe", "glm_moe_dsa"])
def test_the_configuration_of_another_checkpoint(released, sound, refused, named):
    shutil.copy(sound / named / "config.json", released / "config.json")
    said = refused("import", released)
    assert f"released: its tensors are not those of {named}: " in said
    assert "\n  unknown: model.language_model.layers.0." in said and "\n  missing: model.l" in said


WHOLE = "a whole number from 1 to"
ABSURD = [
    ("glm_ocr", "text_config.num_hidden_layers", 10**9, f"{WHOLE} "),
    ("glm_ocr", "vision_config.depth", 10**9, f"{WHOLE} "),
    ("glm4v_moe", "text_config.num_hidden_layers", 10**9, f"{WHOLE} "),
    ("glm4v_moe", "vision_config.depth", 10**30, f"{WHOLE} "),
    ("glm4v_moe", "text_config.n_routed_experts", 10**9, f"{WHOLE} "),
    ("glm_moe_dsa", "num_hidden_layers", 10**9, f"{WHOLE} "),
    ("glm_moe_dsa", "n_routed_experts", 10**9, f"{WHOLE} "),
    ("glm_ocr", "text_config.num_hidden_layers", 0, f"{WHOLE} "),
    ("glm_ocr", "text_config.num_hidden_layers", -(10**9), f"{WHOLE} "),
    ("glm_ocr", "text_config.num_hidden_layers", 2.0, f"{WHOLE} "),
    ("glm_ocr", "text_config.num_hidden_layers", True, f"{WHOLE} "),
    ("glm_ocr", "text_config.num_hidden_layers", [2], f"{WHOLE} "),
    ("glm_ocr", "vision_config.depth", 0, f"{WHOLE} "),
    ("glm_ocr", "text_config.vocab_size", 10**30, f"{WHOLE} 16,777,216"),
    ("glm_ocr", "vision_config.hidden_size", 0, f"{WHOLE} 16,777,216"),
    ("glm_ocr", "vision_config.hidden_size", 10**9, f"{WHOLE} 16,777,216"),
    ("glm_ocr", "vision_config.patch_size", -1, f"{WHOLE} 16,777,216"),
    ("glm_ocr", "vision_config.spatial_merge_size", "2", f"{WHOLE} 16,777,216"),
    ("glm_ocr", "text_config.hidden_size", {}, f"{WHOLE} 16,777,216"),
    ("glm_ocr", "text_config.num_attention_heads", 0, f"{WHOLE} 16,777,216"),
    ("glm_moe_dsa", "index_topk", 0, f"{WHOLE} 16,777,216"),
    ("glm_moe_dsa", "mlp_layer_types", ["dense"], "dense or sparse for each of 4 layers would be right"),
    ("glm_moe_dsa", "indexer_types", ["full"] * 3 + ["?"], "full or shared for each of 4 layers would be"),
    ("glm4v_moe", "text_config.first_k_dense_replace", -1, "first_k_dense_replace is -1; a whole number"),
    ("glm_ocr", "text_config.rms_norm_eps", 0, "a number from above 0 to 1e+12 would be right"),
    ("glm_ocr", "text_config.rms_norm_eps", "1e-5", "a number from above 0 to 1e+12 would be right"),
    ("glm_ocr", "text_config.rope_parameters.rope_theta", -1, "a number from above 0 to 1e+12 would be"),
    ("glm_ocr", "text_config.rope_parameters.mrope_section", [8, 8], "a list of 3 whole numbers would be"),
    ("glm_ocr", "tie_word_embeddings", "yes", "true or false would be right"),
    ("glm_ocr", "text_config", "x", "text_config is 'x'; an object would be right"),
    ("glm_ocr", "vision_config", [], "vision_config is []; an object would be right"),
    ("glm_ocr", "vision_config.rope_parameters", 5, "vision_config.rope_parameters is 5; an object would"),
]


@pytest.mark.parametrize(("family", "place", "value", "message"), ABSURD)
def test_a_value_that_no_model_has(sound, tmp_path, refused, family, place, value, message):
    """Refused before anything as long as that is built."""
    folder = shutil.copytree(sound / family, tmp_path / family)
    edit(folder / "config.json", lambda config: put(config, place, value))
    said = refused("import", folder)
    assert said.startswith(f"{folder}/config.json: ")
    assert any(message in line and place in line for line in said.splitlines())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("vision_config.num_heads", 3, "vision/cogvit: width 32 over 3 heads is no multiple of four a head"),
        ("vision_config.out_hidden_size", 48, "text_config.hidden_size is 32, but vision_config.out_hidden_"),
        ("text_config.num_key_value_heads", 3, "language/glm: kv_heads 3"),
        ("text_config.hidden_act", "gelu", "text_config.hidden_act is 'gelu'; only 'silu' is computed here"),
        ("text_config.rope_parameters.rope_type", "yarn", "only 'default' is computed here"),
        ("text_config.head_dim", 12, "mrope_sections [2, 3, 3] must be three numbers that sum to 6"),
        ("text_config.vocab_size", 62, "  misshapen: lm_head.weight [61, 32], where [62, 32] would fit"),
        (
            "text_config.num_hidden_layers",
            4,
            "  missing: model.language_model.layers.3.mlp.down_proj.weight [32, 40]",
        ),
        ("vision_config.depth", 3, "  missing: model.visual.blocks.2.norm1.weight [32]"),
        ("vision_config.depth", 1, "  unknown: model.visual.blocks.1.norm1.weight [32]"),
    ],
)
def test_sizes_that_do_not_fit_one_another_or_the_tensors(released, refused, place, value, message):
    edit(released / "config.json", lambda config: put(config, place, value))
    assert message in refused("import", released)


def test_what_lacks_is_said_at_once(released, refused):
    edit(released / "config.json", lambda config: config.pop("text_config"))
    first, *lines = refused("import", released).splitlines()
    assert first.endswith("config.json: describes no glm_ocr: 5 of its values are missing or wrong")
    assert all(line.startswith("  text_config.") and line.endswith(" is missing") for line in lines)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"size": {"shortest_edge": -1, "longest_edge": 5}}, "the least and the most pixels would be right"),
        ({"size": {"shortest_edge": 9, "longest_edge": 5}}, "the least and the most pixels would be right"),
        (
            {"size": {"shortest_edge": True, "longest_edge": 5}},
            "the least and the most pixels would be right",
        ),
        ({"image_mean": ["a", "b", "c"]}, "image_mean is ['a', 'b', 'c']; three numbers would be right"),
        ({"image_std": [0.5, 0.5]}, "image_std is [0.5, 0.5]; three numbers would be right"),
        (
            {"image_std": [0.5, 0, 0.5]},
            "image_std is [0.5, 0, 0.5]; three from 1e-06 to 255.0 would be right",
        ),
    ],
)
def test_how_pictures_are_cut(released, refused, name, content, message):
    inside = {"image_processor": content} if name.startswith("processor") else content
    (released / name).write_text(json.dumps(inside))
    said = refused("import", released)
    assert said.startswith(f"{released / name}: ") and message in said


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("do_resize", False, True),
        ("do_rescale", False, True),
        ("do_normalize", False, True),
        ("do_convert_rgb", False, True),
        ("resample", 2, 3),
        ("rescale_factor", 1 / 127.5, 1 / 255),
        ("patch_size", 14, 4),
        ("temporal_patch_size", 1, 2),
        ("merge_size", 1, 2),
    ],
)
def test_how_pictures_are_not_cut_here(released, refused, kind, key, value, right):
    processor = {f"{kind}_processor": {key: value}}
    (released / "processor_config.json").write_text(json.dumps(processor))
    said = refused("import", released)
    assert f"processor_config.json: {key} is {value!r}; only {right!r} is computed here" in said


def test_clips_are_cut_as_stills_are_and_by_a_rule_as_it_was_published(released, refused):
    for image, video, message in (
        ({"image_std": [1, 2, 3]}, {"image_std": [1, 2, 4]}, "image_std is [1, 2, 4]; only [1, 2, 3] is"),
        ({}, {"video_processor_type": "Glm4vVideoProcessor", "fps": 4}, "fps is 4; only 2 is computed here"),
        (
            {},
            {"video_processor_type": "Other"},
            "video_processor_type is 'Other'; only Glm4vVideoProcessor, ",
        ),
        ({}, {"video_processor_type": ["Other"]}, "video_processor_type is ['Other']; only "),
        ({}, {"do_sample_frames": "no"}, "do_sample_frames is 'no'; true or false would be right"),
    ):
        processor = {"image_processor": image, "video_processor": video}
        (released / "processor_config.json").write_text(json.dumps(processor))
        assert message in refused("import", released)
