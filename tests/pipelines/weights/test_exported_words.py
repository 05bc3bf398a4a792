"""What an export says of words and pictures: transformers reads it, and cuts as the model was trained."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged import edit
from einops import rearrange

from vlmloom.components.contracts.patches import cut
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import load_assembly
from vlmloom.pipelines.weights.exporting import export_released
from vlmloom.pipelines.weights.importing import import_released

transformers = pytest.importorskip("transformers")

FAMILIES = ["glm4v", "glm4v_moe", "glm46v", "glm_ocr"]
PROCESSOR = "processor_config.json"
MEAN = [0.25, 0.5, 0.125]
FEW = ["--trainer.max_steps=1", "--trainer.enable_progress_bar=false"]
TASKS = "data.suite={use: suite/nano, things: 4, tasks: {count: {use: task/count}}}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """By family, the import of a checkpoint with tokenizer, template, stops and processor."""
    from released_whole import save

    known = {}

    def get(family):
        if family not in known:
            known[family] = tmp_path_factory.mktemp(family) / "ours"
            save(known[family].parent / "released", family)
            import_released(known[family].parent / "released", known[family])
        return known[family]

    return get


def pixels(folder):
    """What the processor of a folder makes of a picture and of a clip."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    picture = np.random.default_rng(3).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    clip = np.stack([picture, picture[::-1]])
    still = processor.image_processor(torch.from_numpy(picture).movedim(-1, 0), return_tensors="pt")
    moving = processor.video_processor(
        torch.from_numpy(clip).movedim(-1, 1), do_sample_frames=False, return_tensors="pt"
    )
    return processor, (picture[None], still["pixel_values"]), (clip, moving["pixel_values_videos"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_goes_out_whole(whole, tmp_path, capsys, family):
    """Tokenizer, template, stops and processor go along; the processor cuts as the run was trained."""
    ours, run, out = whole(family), tmp_path / "run", tmp_path / "out"
    changes = ["--set", f"assembly.vision.mean={MEAN}", "--swap", TASKS]
    assert main(["fit", "-c", str(ours / "config.yaml"), "--out", str(run), *FEW, *changes]) == 0
    assert main(["export", str(run), str(out)]) == 0
    before, *_ = pixels(ours / "hf")
    after, *items = pixels(out)
    assert type(after) is type(before) and after.chat_template == before.chat_template
    spec = load_assembly(run).patch_specs()["vision"]
    assert list(spec.mean) == MEAN
    for frames, found in items:
        patches, (stored, *_) = cut(frames, spec)
        rows = rearrange(patches, "(f n) (c p) -> f n c p", f=stored, c=3)
        rows = rows.expand(2, -1, -1, -1) if stored == 1 else rows
        wanted = rearrange(rows, "(f t) n c p -> (f n) (c t p)", t=2)
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)
    kept, known = (transformers.AutoTokenizer.from_pretrained(one) for one in (out, ours / "hf"))
    question = "<|user|>\nwhat is <|image|> it?"
    assert kept(question)["input_ids"] == known(question)["input_ids"]
    assert kept.special_tokens_map == known.special_tokens_map and kept.pad_token is not None
    names = json.loads((ours / "hf" / "generation_config.json").read_text())
    assert json.loads((out / "generation_config.json").read_text()) == names
    _, info = transformers.AutoModelForImageTextToText.from_pretrained(out, output_loading_info=True)
    assert not any(info.values())
    model = transformers.AutoModel.from_pretrained(out)
    assert model.config.model_type == family
    import_released(out, tmp_path / "again")
    assert load_assembly(tmp_path / "again").patch_specs()["vision"] == spec


@pytest.mark.parametrize("together", [True, False])
def test_what_was_changed_is_written_and_all_else_stays(whole, tmp_path, together):
    ours = Path(shutil.copytree(whole("glm46v"), tmp_path / "ours"))
    held = json.loads((ours / "hf" / PROCESSOR).read_text())
    names = {"image": "preprocessor_config.json", "video": "video_preprocessor_config.json"}
    if not together:
        for part, name in names.items():
            (ours / "hf" / name).write_text(json.dumps(held[f"{part}_processor"]))
        (ours / "hf" / PROCESSOR).unlink()
    export_released(ours, tmp_path / "same")
    for file in (ours / "hf").iterdir():
        assert (tmp_path / "same" / file.name).read_bytes() == file.read_bytes()
    text = (ours / "assembly.yaml").read_text()
    assert "0.48145466" in text
    (ours / "assembly.yaml").write_text(text.replace("0.48145466", "0.25"))
    export_released(ours, tmp_path / "out")
    for part, name in names.items():
        if together:
            found = json.loads((tmp_path / "out" / PROCESSOR).read_text())[f"{part}_processor"]
        else:
            found = json.loads((tmp_path / "out" / name).read_text())
        wanted = held[f"{part}_processor"]
        assert found == {**wanted, "image_mean": [0.25, *wanted["image_mean"][1:]]}
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        file.name for file in (tmp_path / "same").iterdir()
    }


def test_pictures_that_no_processor_cuts_so_are_told(ours, tmp_path):
    lines = []
    shutil.rmtree(ours / "hf")
    export_released(ours, tmp_path / "out", tell=lines.append)
    assert not (tmp_path / "out" / PROCESSOR).exists()
    assert any(line.startswith("no processor goes along: those of transformers cut") for line in lines)


def test_every_frame_means_every_frame(whole, tmp_path):
    """And it comes out as it went in."""
    released = Path(shutil.copytree(whole("glm46v").parent / "released", tmp_path / "released"))
    edit(released / PROCESSOR, lambda found: found["video_processor"].update(do_sample_frames=False))
    import_released(released, tmp_path / "every")
    assert load_assembly(tmp_path / "every").patch_specs()["vision"].sampling == "all"
    export_released(tmp_path / "every", tmp_path / "back")
    assert (tmp_path / "back" / PROCESSOR).read_bytes() == (released / PROCESSOR).read_bytes()


def test_ids_that_the_tokenizer_has_not_and_weights_without_checksums_are_told(whole, tmp_path):
    released = Path(shutil.copytree(whole("glm46v").parent / "released", tmp_path / "released"))
    lines: list[str] = []
    engine = transformers.AutoTokenizer.from_pretrained(released)
    ids = {f"{one}_token_id": engine.convert_tokens_to_ids(f"<|{one}|>") for one in ("image", "video")}
    for one in ("image", "video"):
        for which, word in (("start", "begin"), ("end", "end")):
            ids[f"{one}_{which}_token_id"] = engine.convert_tokens_to_ids(f"<|{word}_of_{one}|>")
    edit(released / "config.json", lambda found: found.update(ids))
    import_released(released, tmp_path / "sound", tell=lines.append)
    (unsealed,) = lines[1:]
    shards = sorted(path.name for path in released.glob("*.safetensors"))
    assert unsealed.startswith(f"no checksum known of {', '.join(shards)}: ")

    for file in shards:
        digest = hashlib.sha256((released / file).read_bytes()).hexdigest()
        (released / f"{file}.sha256").write_text(f"{digest}  {file}\n")
    edit(released / "config.json", lambda found: found.update(image_token_id=5, eos_token_id=[3, 9000]))
    edit(released / "generation_config.json", lambda found: found.update(eos_token_id=[3, 9001]))
    lines.clear()
    import_released(released, tmp_path / "strange", tell=lines.append)
    (strange,) = lines[1:]
    print(strange)
    assert strange == (
        "ids that are not those of its tokenizer: config.json: image_token_id 5, but <|image|> is "
        f"{ids['image_token_id']}; config.json: eos_token_id 9000, which is missing; generation_config.json: "
        "eos_token_id 9001, which is missing"
    )
