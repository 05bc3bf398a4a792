"""What `vlmloom export` refuses: damaged checkpoints of ours, and configurations that they do not fit."""

import os
import pickle
import shutil

import pytest
import torch
from damaged import INDEX, edit, flip, put, rewrite, shard_of


class Code:
    def __reduce__(self):
        return os.mkdir, ("this must never be made",)


def test_no_checkpoint(ours, released, refused, tmp_path):
    assert "nowhere: there is no such checkpoint" in refused("export", tmp_path / "nowhere")
    assert "has neither assembly.yaml nor config.yaml" in refused("export", released)
    assert "assembly.yaml: is no readable checkpoint" in refused("export", ours / "assembly.yaml")
    (ours / "assembly.yaml").unlink()
    assert "config.yaml:6: assembly.extends: there is no file " in refused("export", ours)
    (ours / "config.yaml").unlink()
    assert "ours: has neither assembly.yaml nor config.yaml; the folder of a" in refused("export", ours)


def test_shards(ours, refused):
    shards = sorted(ours.glob("*.safetensors"))
    assert len(shards) > 3
    shard = shards[1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-3])
    assert f"{shard}: is cut off" in refused("export", ours)
    shard.write_bytes(whole)
    flip(shard, -2)
    assert f"{shard}: is damaged: its SHA-256 is" in refused("export", ours)
    shard.unlink()
    assert f"ours: 1 of {len(shards)} shards missing: {shard.name}" in refused("export", ours)
    edit(ours / INDEX, lambda found: put(found["weight_map"], "a", "../a.safetensors"))
    assert "puts 'a' into '../a.safetensors'" in refused("export", ours)


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("", None, "assembly.yaml:1: the file is empty"),
        ("use: assembly/native", "- 1", "assembly.yaml:"),
        ("use: assembly/native", "\udcff", "byte 0xff is not UTF-8"),
        ("use: assembly/native", "use: !!python/object/apply:os.mkdir [x]", "is refused: a configuration is"),
        ("vision/cogvit", "vision/cogvid", "'vision/cogvid' is no component; did you mean vision/cogvit"),
        (
            "depth: 2",
            "depth: 3",
            "its weights are not those of its configuration; 12 missing: vision.blocks.",
        ),
        ("depth: 2", "depth: 1000000000", "vision/cogvit: depth is 1000000000; from 0 to 10000 would be"),
        ("depth: 2\n  heads: 4", "depth: 1000000000\n  heads: 4", "a whole number from 1 to 10000 is needed"),
        ("depth: 1\n", "depth: 1000000000\n", "head/mmtp: depth is 1000000000; up to 10000 would be right"),
        ("hidden: 24", "hidden: 25", "6 misshapen: vision.blocks.0.ffn.gate_up.weight [48, 32] for [50, 32]"),
    ],
)
def test_the_assembly(ours, refused, was, now, message):
    text = (ours / "assembly.yaml").read_text()
    assert was in text
    text = "" if now is None else text.replace(was, now, 1)
    (ours / "assembly.yaml").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert message in refused("export", ours)


def test_the_configuration_that_came_along(ours, refused):
    kept = (ours / "hf" / "config.json").read_text()
    for text, message in (
        ("[]", "hf/config.json: holds no JSON object"),
        ("{", "hf/config.json: is no sound JSON"),
        (kept.replace('"glm_ocr"', '"llama"'), "model_type 'llama' has no key map; known: glm_ocr"),
        (
            kept.replace('"glm_ocr"', '"glm4v"'),
            "does not fit glm4v: vision is vision/cogvit; vision/aimv2_glm",
        ),
    ):
        (ours / "hf" / "config.json").write_text(text)
        assert message in refused("export", ours)
    (ours / "hf" / "config.json").unlink()
    assert "hf/config.json: cannot be read" in refused("export", ours)


def test_what_it_is_said_to_be_like(ours, sound, refused, tmp_path):
    like = ("--like", sound / "glm4v_moe")
    assert "does not fit glm4v_moe: vision is vision/cogvit" in refused("export", ours, *like)
    assert "nowhere/config.json: cannot be read" in refused("export", ours, "--like", tmp_path / "nowhere")
    (ours / "hf" / "chat_template.jinja").symlink_to("/etc/hostname")
    assert "chat_template.jinja: is a link out of its folder, to /etc/hostname" in refused("export", ours)


def test_a_tokenizer_that_is_none(ours, refused):
    """A run has its own, of which the ids of special tokens are taken."""
    shutil.rmtree(ours / "hf")
    (ours / "tokenizer.json").write_text("[]")
    assert "tokenizer.json: is no tokenizer.json (" in refused("export", ours)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": Code()},
            "refused, since it holds more than weights and numbers (posix.mkdir could run",
        ),
        ({"loops": 1}, "holds no state_dict of tensors; a run's folder would be right"),
        ({"state_dict": {1: torch.ones(2)}}, "holds no state_dict of tensors"),
        ([1], "holds a list; the checkpoint of a training would be right"),
        (torch.ones(2), "holds a Tensor; the checkpoint of a training would be right"),
        ({"state_dict": {"assembly.x": torch.ones(2)}}, "1 unknown: x"),
        (b"", "is no readable checkpoint"),
        (b"hello", "is no readable checkpoint"),
        (pickle.dumps(Code()), "is no readable checkpoint"),
    ],
)
def test_training_checkpoints(ours, refused, content, message):
    path = ours / "step=1.ckpt"
    (ours / "assembly.yaml").rename(ours / "config.yaml")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    said = refused("export", path)
    assert f"{path}: " in said and message in said


def test_a_training_checkpoint_that_was_changed_or_cut(ours, refused):
    path = ours / "step=1.ckpt"
    torch.save({"state_dict": {"assembly.x": torch.arange(1000.0)}}, path)
    whole = path.read_bytes()
    place = whole.index(torch.arange(1000.0).numpy().tobytes())
    flip(path, place + 401)
    assert "step=1.ckpt: is damaged: its data/0 is not what was written" in refused("export", path)
    for keep in (0, 10, place + 100, len(whole) - 1):
        path.write_bytes(whole[:keep])
        assert "step=1.ckpt: is no readable checkpoint" in refused("export", path)
    path.write_bytes(whole)
    (ours / "config.yaml").unlink()
    assert "belongs to no run: no folder above it has a config.yaml" in refused("export", path)


@pytest.mark.parametrize("content", [b"", b"junk", pickle.dumps(Code()), pickle.dumps({"a": 1})])
def test_the_metadata_of_a_sharded_training(ours, refused, content):
    (ours / ".metadata").write_bytes(content)
    assert ".metadata: refused: is no sound metadata (" in refused("export", ours)


def test_modules_beyond_the_last_layer_are_counted_not_believed(released, refused):
    """A tensor of layer 999,999,999 is unknown; it does not make a billion modules."""
    name = "model.language_model.layers.999999999.enorm.weight"
    shard = shard_of(released, "model.language_model.norm.weight")
    rewrite(shard, lambda held: held.update({name: torch.ones(32)}))
    edit(released / INDEX, lambda found: put(found, "weight_map", found["weight_map"] | {name: shard.name}))
    said = refused("import", released)
    assert f"  unknown: {name} [32]" in said
    assert said.count("\n  missing: model.language_model.layers.3.") > 5
