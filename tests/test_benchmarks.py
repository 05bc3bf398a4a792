"""Both sides of the benchmarks do the same work; nothing is timed here."""

import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import (
    contrastive,
    decoding,
    experts,
    loader,
    memory,
    mfu,
    prefill,
    report,
    speculative,
    tasks,
    timing,
    training,
    verifiers,
    vision,
)
from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for
from benchmarks.towers import build_tower, glm_ocr, naflexvit

TINY = Shape(
    vocab=64, width=32, depth=2, heads=4, kv_heads=2, dense=48, experts=4, top_k=2, expert=16,
    vision_width=32, vision_depth=1, vision_heads=2, merger=32, patch=4,
)  # fmt: skip
EVERY = ("fp32", "medium", "bf16")


def scramble(*modules: nn.Module) -> None:
    """No weight keeps a value that hides a mistake, such as a bias of zero."""
    for module in modules:
        for name, parameter in module.named_parameters():
            nn.init.normal_(parameter, mean=float("norm" in name and parameter.ndim == 1), std=0.2)


def test_training(monkeypatch):
    """At this size every precision can be tried, also where bf16 is emulated."""
    for module in (training, timing):
        monkeypatch.setattr(module, "PRECISIONS", EVERY)
    found = training.run(TINY, 1, tokens=(5, 20), count=3, sides=(1, 2))
    assert found["text_losses"]["ours"] == pytest.approx(found["text_losses"]["theirs"], rel=1e-5)
    assert all(math.isfinite(loss) for loss in found["losses"].values())
    first = found["contests"][0]
    assert first["best"]["ours"] == "fp32" and first["best"]["theirs"].endswith("fp32")
    assert set(first["trials"]["theirs"]) >= {"eager, fp32", "grouped_mm, bf16", "batched_mm, medium"}
    assert found["tokens"]["real"] < found["tokens"]["padded"]
    padding = found["tokens"]["padded"] / found["tokens"]["real"]
    assert first["ratio"] == pytest.approx(first["ratio_padding_counted"] * padding)
    assert training.notes(found)


def test_decoding():
    found = decoding.run(TINY, 1, (1, 3), tokens=(4, 12), new=6, ways=[False])
    # One contest a batch, and a second one where bf16 is the faster.
    assert list(dict.fromkeys(contest["batch"] for contest in found["contests"])) == [1, 3]
    for contest in found["contests"]:
        assert contest["equal_tokens"] == 1.0
        assert contest["new_tokens"] == contest["batch"] * 6
    assert len(decoding.notes(found)) == 2


def test_prefill():
    found = prefill.run(TINY, 1, count=3, tokens=(4, 12))
    assert found["apart"] < 1e-5
    assert found["tokens"]["real"] < found["tokens"]["padded"]
    assert found["contests"][0]["goal"] == 1.3
    assert prefill.notes(found)


def test_vision():
    found = vision.run(TINY, 1, count=3, sides=(1, 3))
    assert max(found["apart"].values()) < 1e-5
    assert [contest["peer"] for contest in found["contests"]] == ["glm_ocr", "timm naflexvit"]
    assert set(found["contests"][1]["trials"]["theirs"]) == {
        "padded, fp32", "padded keys masked, fp32", "one by one, fp32",
    }  # fmt: skip
    assert vision.notes(found)


def test_towers_have_equal_outputs_and_gradients():
    patches, grids = vision.pictures(TINY, 3, (1, 3))
    tower, merger = build_tower(TINY)
    scramble(tower, merger)
    ocr, naflex = glm_ocr(tower, merger), naflexvit(tower)
    plain = vision.ours_plain(tower, patches, grids)
    merged = vision.ours_merged(tower, merger, patches, grids)
    for own, other, peer in (
        (merged, vision.theirs_merged(ocr, patches, grids), ocr),
        (plain, vision.theirs_padded(naflex, patches, grids, key_mask=False), naflex),
        (plain, vision.theirs_padded(naflex, patches, grids, key_mask=True), naflex),
        (plain, vision.theirs_one_by_one(naflex, patches, grids), naflex),
    ):
        ours, theirs = own(), other()
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        slope = torch.randn_like(ours)
        for module in (tower, merger, peer):
            module.zero_grad()
        ours.backward(slope)
        theirs.backward(slope)
        block, its = tower.blocks[0], peer.blocks[0]
        for one, another in (
            (block.qkv.weight, its.attn.qkv.weight),
            (block.q_norm, its.attn.q_norm.weight),
            (block.norm1.weight, its.norm1.weight),
        ):
            torch.testing.assert_close(one.grad, another.grad, atol=1e-3, rtol=1e-3)


def test_contrastive(monkeypatch):
    for module in (contrastive, timing):
        monkeypatch.setattr(module, "PRECISIONS", EVERY)
    found = contrastive.run(TINY, 1, tokens=(4, 12), count=4, sides=(1, 3))
    assert found["apart"] < 1e-5
    assert found["patches"]["squares"] <= found["patches"]["ours"] <= found["patches"]["whole"]
    assert found["tokens"]["real"] < found["tokens"]["padded"] == 4 * found["tokens"]["context"]
    first = found["contests"][0]
    assert first["best"]["ours"] == "fp32" and first["unit"] == "pairs"
    assert set(first["trials"]["theirs"]) >= {"class token, fp32", "attention pool, bf16"}
    assert first["per_second"]["ours"] == pytest.approx(4 / timing.median(first["seconds"]["ours"]))
    assert contrastive.notes(found)


def test_contrastive_sides_read_the_same_pairs_and_learn():
    ragged = Ragged.draw(TINY, 4, (4, 12), pictures=(1, 1), sides=(1, 3))
    ours = contrastive.build_ours(TINY)
    batch, squares = contrastive.packed(ragged, TINY, ours), contrastive.pictures(ragged, TINY)["squares"]
    texts = torch.nn.utils.rnn.pad_sequence(contrastive.captions(ragged, TINY), batch_first=True)
    ends = texts.argmax(1)
    assert [len(own) for own in contrastive.captions(ragged, TINY)] == (ends + 1).tolist() == batch.lengths
    assert torch.equal(batch.ids, torch.cat([row[: end + 1] for row, end in zip(texts, ends, strict=True)]))
    theirs = contrastive.build_theirs(TINY, tuple(squares.shape[2:]), texts.shape[1], "class token")
    for step in (
        contrastive.Ours(ours, batch, "fp32"),
        contrastive.Theirs(theirs, (squares, texts), "fp32"),
    ):
        losses = [float(step()) for _ in range(12)]
        assert losses[-1] < losses[0]


def test_squares_show_the_pictures():
    """A picture that is a square of the right size already stays as it is."""
    ragged = Ragged.draw(TINY, 2, (4, 12), pictures=(1, 1), sides=(2, 2))
    squares = contrastive.pictures(ragged, TINY)["squares"]
    assert squares.shape == (2, 3, 16, 16)
    top_left = ragged.patches[0].view(3, TINY.patch, TINY.patch)
    torch.testing.assert_close(squares[0, :, : TINY.patch, : TINY.patch], top_left)


def test_an_mlp_has_as_many_parameters_as_the_peer_s():
    assert 1 <= 3 * contrastive.inner(256) / (8 * 256) < 1.01


def test_loader():
    found = loader.run(TINY, 1, count=12, sides=(1, 4), budget=64)
    native, equal = found["loads"]["native size"], found["loads"]["equal size"]
    assert native["padding"]["ours"] == 0 < equal["padding"]["theirs"] < native["padding"]["theirs"]
    for load in (native, equal):
        assert 0.5 < load["filled"]["ours"] <= 1 == load["filled"]["theirs"]
    assert [contest["title"] for contest in found["contests"]] == [
        f"{what}, {size}" for size in found["loads"] for what in ("loader", "loader and tower")
    ]
    contest = found["contests"][0]
    rate = native["pictures"]["ours"] / timing.median(contest["seconds"]["ours"])
    assert contest["per_second"]["ours"] == pytest.approx(rate)
    assert len(loader.notes(found)) == 4


def test_loaders_give_the_same_patches_and_towers_the_same_features():
    pictures = loader.draw(8, TINY.patch, (1, 4))
    tower, _ = build_tower(TINY)
    naflex = naflexvit(tower)
    spec = replace(tower.patch_spec, max_patches=16)
    held = [torch.from_numpy(pixels).permute(2, 0, 1) for pixels in pictures]
    theirs = {}
    for batch, _ in loader.timm_loader(held, spec, 64, 16, native=True):
        inputs = {name: batch[name] for name in ("patches", "patch_coord", "patch_valid")}
        features = naflex.forward_features(**inputs)["patches"]
        for row, valid in enumerate(batch["patch_valid"]):
            theirs[len(theirs)] = batch["patches"][row, valid], features[row, valid]
    seen = 0
    for batch in loader.packs(pictures, spec, 64)():
        visuals = batch.visuals["vision"]
        areas = [rows * columns for _, rows, columns in visuals.shapes]
        assert sum(areas) <= 64
        features = tower(visuals)[0].tokens
        for tag, own, ours in zip(
            batch.tags, visuals.patches.split(areas), features.split(areas), strict=True
        ):
            patches, peers = theirs[tag.index % len(pictures)]
            torch.testing.assert_close(own, patches)
            torch.testing.assert_close(ours, peers, atol=1e-4, rtol=1e-4)
            seen += 1
    assert seen and len(theirs) == 8


def test_experts(monkeypatch):
    for module in (experts, timing):
        monkeypatch.setattr(module, "PRECISIONS", EVERY)
    found = experts.run(TINY, 1, tokens=24)
    assert found["apart"] < 1e-6
    for contest in found["contests"]:
        assert set(contest["over_bare"]) == {"ours", "theirs"}
    assert experts.notes(found)


def test_experts_have_equal_gradients():
    block, mlp, model = experts.build(TINY)
    grads = []
    for name in ("ours", *experts_for(TINY, 24)):
        x = torch.randn(24, TINY.width, generator=torch.Generator().manual_seed(0)).requires_grad_()
        if name == "ours":
            out = block(x, [24])[0]
        else:
            model.set_experts_implementation(name)
            out = mlp(x[None])[0]
        out.square().sum().backward()
        weights = block.experts.gate_up if name == "ours" else mlp.experts.gate_up_proj
        router = block.router if name == "ours" else mlp.gate.weight
        grads.append((x.grad, weights.grad, router.grad))
        block.zero_grad()
        mlp.zero_grad()
    for other in grads[1:]:
        for one, another in zip(grads[0], other, strict=True):
            torch.testing.assert_close(one, another, atol=1e-6, rtol=1e-4)


def test_bare_products_are_those_of_the_block():
    """Three for each linear map, and FLOPs as the block counts them, less the weighted sum."""
    block, _, _ = experts.build(TINY)
    bare = experts.Bare(block, torch.randn(24, TINY.width))
    weighted = 2 * 24 * TINY.top_k * TINY.width
    assert bare.flops == 3 * (block.flops(24) - weighted)
    bare()


def test_mfu():
    found = mfu.run(TINY, 1, width=32, depth=1)
    assert found["share"] > 0
    assert found["share"] == pytest.approx(found["flops_per_second"] / max(found["peaks"].values()))
    assert mfu.notes(found)


def test_speculative():
    found = speculative.run(TINY, 1, characters=600, steps=2, count=2, prompts=2, prompt=8, new=6)
    assert found["equal"]
    assert found["acceptance"] >= 1 and sum(found["histogram"].values()) > 0
    assert found["contests"][0]["peer"] == "own greedy"
    assert speculative.notes(found)


def test_the_model_learns_the_text():
    tokenizer, ids = speculative.tokenize(speculative.text(600), 300)
    assert tokenizer.decode(ids.tolist()) == speculative.text(600)
    shape = replace(TINY, vocab=tokenizer.get_vocab_size() + 1)
    losses = speculative.train(speculative.build(shape), ids, shape, 20, 32, 2)
    assert losses[-1] < losses[0] - 0.5


def test_memory():
    found = memory.run(TINY, 1, tokens=(5, 20), count=3, sides=(1, 2))
    kept = {name: bytes["kept"] for name, bytes in found["bytes"].items()}
    assert kept["full"] < min(kept["vision"], kept["projector"]) < kept["none"]
    notes = memory.notes(found)
    assert len(notes) == len(memory.POLICIES)
    assert "recompute {vision: full}" in notes[1]


def test_items_of_tasks_are_counted(monkeypatch):
    from vlmloom.components.task.suite import Nano

    suite = Nano(shift=[])
    monkeypatch.setattr(tasks, "ITEMS", 3)
    monkeypatch.setattr(tasks, "WARM", 1)
    planned = []
    plan = suite.tasks["name"].plan
    monkeypatch.setattr(suite.tasks["name"], "plan", lambda *place: planned.append(place) or plan(*place))
    assert min(tasks._rates(suite.tasks["name"], 1, time.process_time)) > 0
    assert planned == [("train", index) for index in (4, *(5, 6, 7) * 2)], "the same items once more"
    rates = {
        "a": {"family": "video", "per_second": 150.0, "again": 160.0, "kept": False},
        "b": {"family": "video", "per_second": 1500.0, "again": 2500.0, "kept": True},
    }
    found = {"side": 128, "rates": rates, "absent": {"x": "ready", "y": "source/y: pip install y"}}
    assert tasks.notes(found) == [
        "video, items a second and core at 128 px: a 150, b 1,500",
        "video: goal 200: missed by a",
        "b, items a second on the wall: 1,500.0 new, 2,500 from the cache",
        "not measured: source/y: pip install y",
    ]


def test_living_counts_what_is_held():
    """Views and changes in place make nothing; what is dropped is no longer counted."""
    weight = torch.zeros(8)
    with memory.Living([weight]) as living:
        kept = weight + 1
        kept.add_(1).view(2, 4)
        weight.view(2, 4)
        assert living.now == 32
        (weight + 2).sum()
        assert (living.now, living.peak) == (32, 68)
    del kept


def test_the_report_says_what_was_met(capsys):
    def sleepless() -> None: ...

    contest = timing.contests(
        "a title", {"fp32": sleepless}, {"fp32": sleepless}, repeats=1, count=1, goals={"fp32": 1e9}
    )
    found = {
        "machine": timing.machine() | {"transformers": "5"},
        "vision": {"contests": contest},
        "seconds": 1.0,
    }

    class Part:
        @staticmethod
        def notes(part):
            return ["a note"]

    report.show(found, {"vision": Part, "training": Part})
    printed = capsys.readouterr().out
    assert "a title" in printed and "1e+09, missed" in printed and "vision: a note" in printed


def test_both_sides_learn():
    """A step moves the weights of each side: losses fall on the batch they are trained on."""
    ragged = Ragged.draw(TINY, 2, (6, 12), pictures=(1, 2), sides=(1, 2))
    ours = build_ours(TINY)
    theirs = build_theirs(TINY, ours)
    for step in (
        training.Ours(ours, pack(ragged, TINY, ours), "fp32"),
        training.Theirs(theirs, pad(ragged, TINY, theirs, left=False), "eager", "fp32"),
    ):
        losses = [float(step()) for _ in range(12)]
        assert losses[-1] < losses[0]


def test_positions_agree_around_pictures():
    ragged = Ragged.draw(TINY, 3, (6, 12), pictures=(1, 2), sides=(1, 3))
    ours = build_ours(TINY)
    theirs = build_theirs(TINY, ours)
    batch, padded = pack(ragged, TINY, ours), pad(ragged, TINY, theirs, left=False)
    real = padded["attention_mask"].bool()
    assert torch.equal(batch.positions, padded["position_ids"][:, real])
    assert torch.equal(batch.ids, padded["input_ids"][real])


def test_batched_experts_are_left_out_where_they_would_not_fit():
    assert "batched_mm" in experts_for(Shape(), 64)
    assert "batched_mm" not in experts_for(Shape(), 4096)


def test_verifiers():
    found = verifiers.run(TINY, 1, count=3)
    assert found.keys() == verifiers.GOALS.keys()
    assert all(math.isfinite(one["per_second"]) and one["per_second"] > 0 for one in found.values())
    assert len(verifiers.notes(found)) == 1 + len(found)
