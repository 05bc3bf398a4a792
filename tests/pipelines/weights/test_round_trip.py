"""Checkpoints of transformers: imported, they give its logits and gradients; exported, it loads them."""

import json
import re
import shutil

import pytest
import torch
from references import GRADIENTS, LOGITS, close, gradients
from torch.nn import functional as F

pytest.importorskip("transformers")

from released import CONFIGS, DRAWN, EVERY, add_modules, clean, links_of, load, model_of, save, sizes_of
from released_batches import BATCHES, batch_of, our_logits, their_logits

from vlmloom.assemblies.native.families.keys import split
from vlmloom.components.contracts.packed import IGNORE, shift
from vlmloom.pipelines.loading import load_assembly
from vlmloom.pipelines.weights.exporting import export_released
from vlmloom.pipelines.weights.importing import import_released

CASES = [
    (family, number, kind)
    for family, number in EVERY
    for kind in BATCHES
    if family != "glm_moe_dsa" or kind.endswith("text")
]


@pytest.mark.parametrize("family", CONFIGS)
def test_the_models_differ_in_all_that_is_drawn(family):
    for parts in zip(*(sizes_of(family, number) for number in range(1, 1 + DRAWN)), strict=True):
        for key in parts[0].keys() - {"vocab_size"}:
            assert len({str(part[key]) for part in parts}) > 1, key
    longest = min(max(sum(sample) for sample in BATCHES[kind]) for kind in ("text", "ragged text"))
    if family == "glm_moe_dsa":
        assert all(part["index_topk"] < longest for part in parts), "the indexer leaves keys out"
    else:
        assert sum(all(part["rope_parameters"]["mrope_section"]) for part in parts) > 1, "all three axes turn"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Each model once: transformers' in memory, and the folders of its checkpoint and of its import."""
    known = {}

    def get(family, number):
        if (family, number) not in known:
            folder = tmp_path_factory.mktemp(f"{family}{number}")
            model = save(family, folder / "released", number)
            import_released(folder / "released", folder / "ours", shard_bytes=30_000)
            known[family, number] = model, folder
        return known[family, number]

    return get


@pytest.mark.parametrize(("family", "number", "kind"), CASES)
def test_logits_and_gradients_are_theirs(imported, family, number, kind):
    theirs, folder = imported(family, number)
    ours = load_assembly(folder / "ours", dtype=torch.float32)
    batch = batch_of(BATCHES[kind], ours)
    logits = our_logits(ours, batch), their_logits(theirs, batch)
    assert (logits[0] - logits[1]).abs().max() <= LOGITS
    assert logits[1].std() > 0.1, "weights that mix"
    labels = shift(batch.ours.labels, batch.ours.boundaries, 1, IGNORE)
    found, wanted = (
        gradients(F.cross_entropy(one, labels), module)
        for one, module in zip(logits, (ours, theirs), strict=True)
    )
    links = links_of(folder / "ours", family, ours)
    reached = {name: one for name, one in found.items() if one is not None}
    split_up = split(links, reached, fused=True)
    for name, gradient in wanted.items():
        if gradient is None:
            assert name not in split_up, name
        else:
            close(split_up.pop(name, None), gradient, name)
    assert not split_up and GRADIENTS == 1e-3


@pytest.mark.parametrize(("family", "number"), EVERY)
def test_an_export_loads_in_transformers(imported, tmp_path, family, number):
    theirs, folder = imported(family, number)
    export_released(folder / "ours", tmp_path / "back", shard_bytes=25_000)
    again, info = load(family, tmp_path / "back")
    assert clean(info), info
    state, wanted = again.state_dict(), theirs.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    for name in ("config.json", "generation_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (folder / "released" / name).read_bytes()
    batch = batch_of(
        BATCHES["ragged text" if family == "glm_moe_dsa" else "mixed"], load_assembly(folder / "ours")
    )
    with torch.no_grad():
        assert torch.equal(their_logits(again, batch), their_logits(theirs, batch))


@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize("family", CONFIGS)
def test_multi_token_modules_go_both_ways(tmp_path, family, tables):
    model = save(family, tmp_path / "released")
    count = 1 if tables else 2
    added = add_modules(tmp_path / "released", family, model, count, tables)
    import_released(tmp_path / "released", tmp_path / "ours")
    ours = load_assembly(tmp_path / "ours")
    head = ours.head["mtp"]
    assert (head.depth, head.shared, head.own_tables) == (count, count == 1, tables)
    export_released(tmp_path / "ours", tmp_path / "back")
    assert tensors_of(tmp_path / "back") == tensors_of(tmp_path / "released")
    again, info = load(family, tmp_path / "back")
    assert layers_of(info.pop("unexpected_keys")) == layers_of(added), "transformers has no module for them"
    assert clean({**info, "unexpected_keys": ()}), info
    batch = batch_of(BATCHES["ragged text" if family == "glm_moe_dsa" else "mixed"], ours)
    with torch.no_grad():
        assert torch.equal(their_logits(again, batch), their_logits(model, batch))
    found = split(links_of(tmp_path / "ours", family, ours), dict(ours.state_dict()))
    assert all(torch.equal(found[name], value) for name, value in added.items())


def layers_of(names):
    """The prefixes of layers, of names that all lie in one."""
    found = [re.match(r".*\blayers\.\d+\.", name) for name in names]
    assert all(found), names
    return {one[0] for one in found}


def tensors_of(folder):
    """The bytes of every tensor by name."""
    from safetensors.torch import load_file

    return {
        name: (tuple(value.shape), str(value.dtype), value.view(torch.uint8).numpy().tobytes())
        for file in folder.glob("*.safetensors")
        for name, value in load_file(file).items()
    }


@pytest.mark.parametrize(("family", "depth"), [("glm_ocr", 16), ("glm_moe_dsa", 78)])
def test_at_the_published_depth_transformers_knows_the_modules(tmp_path, family, depth):
    """There the extra layer has the number that transformers passes over: nothing is unexpected."""
    vision, words = CONFIGS[family]
    words = {**words, "num_hidden_layers": depth}
    if family == "glm_moe_dsa":
        words["first_k_dense_replace"] = depth
    model = save(family, tmp_path / "released", sizes=(vision, words), shard="100KB")
    add_modules(tmp_path / "released", family, model)
    import_released(tmp_path / "released", tmp_path / "ours")
    export_released(tmp_path / "ours", tmp_path / "back")
    _, info = load(family, tmp_path / "back")
    assert clean(info), info


@pytest.mark.parametrize("family", ["glm4v_moe", "glm_moe_dsa"])
def test_experts_may_be_stored_fused(imported, tmp_path, family):
    """As transformers' modules hold them, where `save_pretrained` writes an expert at a time."""
    model, folder = imported(family, 0)
    model.save_pretrained(tmp_path / "fused", max_shard_size="20KB", save_original_format=False)
    names = json.loads((tmp_path / "fused" / "model.safetensors.index.json").read_text())["weight_map"]
    assert any(name.endswith("experts.gate_up_proj") for name in names)
    import_released(tmp_path / "fused", tmp_path / "ours")
    assert tensors_of(tmp_path / "ours") == tensors_of(folder / "ours")


OLDER = {
    "as GLM-4.1V was first named": [("model.language_model.", "model."), ("model.visual.", "visual.")],
    "one model too many": [("model.language_model.", "model.language_model.model.")],
    "the language model outside": [
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.visual.", "visual."),
    ],
}


@pytest.mark.parametrize("renamed", OLDER)
def test_older_names(imported, tmp_path, renamed):
    from safetensors.torch import load_file, save_file

    _, folder = imported("glm_ocr", 0)
    (tmp_path / "old").mkdir()
    shutil.copy(folder / "released" / "config.json", tmp_path / "old")
    state = {}
    for file in (folder / "released").glob("*.safetensors"):
        for name, value in load_file(file).items():
            for now, before in OLDER[renamed]:
                name = before + name.removeprefix(now) if name.startswith(now) else name
            state[name] = value
    save_file(state, tmp_path / "old" / "model.safetensors")
    import_released(tmp_path / "old", tmp_path / "ours")
    assert tensors_of(tmp_path / "ours") == tensors_of(folder / "ours")


def test_older_configurations_mean_the_same(imported, tmp_path):
    """Rotary settings have stood beside the sizes, before `rope_parameters` held them."""
    _, folder = imported("glm4v_moe", 0)
    shutil.copytree(folder / "released", tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    words = config["text_config"]
    held = words.pop("rope_parameters")
    words |= {
        "rope_theta": held["rope_theta"],
        "partial_rotary_factor": held["partial_rotary_factor"],
        "rope_scaling": {"rope_type": "default", "mrope_section": held["mrope_section"]},
    }
    del config["vision_config"]["rope_parameters"]
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    import_released(tmp_path / "old", tmp_path / "ours")
    assert (tmp_path / "ours" / "assembly.yaml").read_text() == (
        folder / "ours" / "assembly.yaml"
    ).read_text()
    export_released(tmp_path / "ours", tmp_path / "back")
    assert (tmp_path / "back" / "config.json").read_bytes() == (tmp_path / "old" / "config.json").read_bytes()
    _again, info = load("glm4v_moe", tmp_path / "back")
    assert clean(info)


@pytest.mark.parametrize("family", ["glm_ocr", "glm_moe_dsa"])
def test_tied_tables(tmp_path, family):
    theirs = save(family, tmp_path / "released", tie_word_embeddings=True)
    import_released(tmp_path / "released", tmp_path / "ours")
    ours = load_assembly(tmp_path / "ours")
    assert ours.lm.tied and "head.lm.unembed.weight" not in ours.state_dict()
    batch = batch_of(BATCHES["text"], ours)
    with torch.no_grad():
        assert (our_logits(ours, batch) - their_logits(theirs, batch)).abs().max() <= LOGITS
    export_released(tmp_path / "ours", tmp_path / "back")
    _, info = load(family, tmp_path / "back")
    assert clean(info), info


@pytest.mark.parametrize("family", CONFIGS)
def test_tables_that_the_text_part_calls_tied_are_so_where_theirs_are(tmp_path, family):
    vision, words = CONFIGS[family]
    theirs = save(family, tmp_path / "released", sizes=(vision, {**words, "tie_word_embeddings": True}))
    import_released(tmp_path / "released", tmp_path / "ours")
    assert load_assembly(tmp_path / "ours").lm.tied == (
        theirs.lm_head.weight is theirs.get_input_embeddings().weight
    )


def test_half_precision_stays_and_can_be_asked_for(tmp_path):
    model = model_of("glm4v_moe").to(torch.bfloat16)
    model.save_pretrained(tmp_path / "released", max_shard_size="20KB")
    import_released(tmp_path / "released", tmp_path / "ours")
    ours = load_assembly(tmp_path / "ours")
    block = ours.language.blocks[-1]
    assert block.qkv.weight.dtype == torch.bfloat16 and block.ffn.selection_bias.dtype == torch.float32
    assert len(block.qkv.weight.muon_splits) == 3
    export_released(tmp_path / "ours", tmp_path / "back")
    assert tensors_of(tmp_path / "back") == tensors_of(tmp_path / "released")
    export_released(tmp_path / "ours", tmp_path / "wide", dtype="F32")
    again, info = load("glm4v_moe", tmp_path / "wide", dtype="auto")
    assert clean(info) and again.dtype == torch.float32
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name].float()) for name, value in again.state_dict().items())


@pytest.mark.parametrize("together", [False, True])
def test_the_processor_says_how_pictures_are_cut(imported, tmp_path, together):
    import transformers

    _, folder = imported("glm4v", 0)
    shutil.copytree(folder / "released", tmp_path / "released")
    image = transformers.Glm4vImageProcessor(
        size={"shortest_edge": 100, "longest_edge": 9000}, image_std=[1, 2, 3], patch_size=4
    )
    video = transformers.Glm46VVideoProcessor(
        size={"shortest_edge": 200, "longest_edge": 80000}, image_std=[1, 2, 3], patch_size=4
    )
    if together:
        parts = {"image_processor": image.to_dict(), "video_processor": video.to_dict()}
        (tmp_path / "released" / "processor_config.json").write_text(json.dumps(parts))
    else:
        image.save_pretrained(tmp_path / "released")
        video.save_pretrained(tmp_path / "released")
    import_released(tmp_path / "released", tmp_path / "ours")
    spec = load_assembly(tmp_path / "ours").patch_specs()["vision"]
    assert (spec.resize.still, spec.resize.clip) == ((100, 9000), (200, 80000))
    assert (spec.sampling, list(spec.std), spec.block) == ("glm46v", [1, 2, 3], 2)
    export_released(tmp_path / "ours", tmp_path / "back")
    for file in (tmp_path / "released").glob("*processor*.json"):
        assert (tmp_path / "back" / file.name).read_bytes() == file.read_bytes()
