"""Spaces of pictures and texts: those of runs and of open_clip."""

import json
from pathlib import Path

import torch

from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.objective.contrastive import embed
from vlmloom.components.teacher.cached import Cached
from vlmloom.components.teacher.open_clip import OpenCLIP
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.data.packing import Draw
from vlmloom.pipelines.loading import load_run
from vlmloom.pipelines.trunk import RunTeacher

CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def test_a_run_embeds_captions_and_pictures_as_in_training(tmp_path: Path) -> None:
    tiny = ["data.suite.things=8", "budget.flops=null", "budget.samples=60", "stages.0.pack_tokens=512"]
    shape = ["vision.depth=1", "text.depth=1", "language.depth=2"]
    sets = [part for value in (*tiny, *(f"assembly.{value}" for value in shape)) for part in ("--set", value)]
    assert main(["fit", "-c", "nano/adapter", "--out", str(tmp_path), *sets]) == 0
    experiment, teacher = load_run(tmp_path), RunTeacher(folder=str(tmp_path))
    seen = experiment.data.view("captions", "test")
    items = [seen.draw(Draw(index, 1.0, 1.0)) for index in range(40) if seen.size(index).tokens][:5]
    batch = seen.collate(items)
    with torch.no_grad():
        features, _ = experiment.assembly.vision(batch.visuals["vision"])
        pictures, captions, _ = embed(
            experiment.assembly, features, batch.ids, batch.positions, batch.lengths
        )
        seen_again, _ = teacher(batch.visuals["vision"])
    space = teacher.shared_space()
    assert space is not None
    torch.testing.assert_close(space.embed_pictures(seen_again), pictures)
    torch.testing.assert_close(space.embed_texts([item.sample.caption for item in items]), captions)


def test_open_clip_reads_texts_by_the_tower_that_it_dropped(tmp_path: Path) -> None:
    import open_clip

    (tmp_path / "vlmloom-words.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(tmp_path)
    model = open_clip.create_model("vlmloom-words").eval()
    torch.save(model.state_dict(), tmp_path / "words.pt")
    teacher = OpenCLIP(model="vlmloom-words", weights=str(tmp_path / "words.pt"))
    space = teacher.shared_space()
    assert space is not None
    assert OpenCLIP(model="vlmloom-words", weights=None).shared_space() is None
    assert Cached(teacher=teacher, folder=str(tmp_path / "kept")).shared_space() is space
    texts = ["a dog", "two cats on a chair"]
    ids = open_clip.get_tokenizer("vlmloom-words")(texts)
    frame = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8).numpy()
    with torch.no_grad():
        torch.testing.assert_close(space.embed_texts(texts), model.encode_text(ids, normalize=True))
        visuals = join([cut(frame, teacher.patch_spec)], teacher.patch_spec)
        features, _ = teacher(visuals)
        pixels = torch.from_numpy(frame).permute(0, 3, 1, 2) / 255
        mean, std = (
            torch.tensor(getattr(teacher.patch_spec, name))[:, None, None] for name in ("mean", "std")
        )
        wanted = model.encode_image((pixels - mean) / std, normalize=True)
    torch.testing.assert_close(space.embed_pictures(features), wanted, atol=1e-5, rtol=1e-4)
    assert not any("text" in name for name in teacher.state_dict())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
