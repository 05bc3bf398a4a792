"""Both sides of the benchmarks do the same work; nothing is timed here."""

import math
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import decoding, training
from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for

TINY = Shape(
    vocab=64, width=32, depth=2, heads=4, kv_heads=2, dense=48, experts=4, top_k=2, expert=16,
    vision_width=32, vision_depth=1, vision_heads=2, merger=32, patch=4,
)  # fmt: skip


def test_training(monkeypatch):
    """At this size every precision can be tried, also where bf16 is emulated."""
    monkeypatch.setattr(training, "PRECISIONS", ("fp32", "medium", "bf16"))
    found = training.run(TINY, 1, tokens=(5, 20), count=3, sides=(1, 2))
    assert found["text_losses"]["ours"] == pytest.approx(found["text_losses"]["theirs"], rel=1e-5)
    assert all(math.isfinite(loss) for loss in found["losses"].values())
    assert set(found["trials"]["theirs"]) >= {"eager, fp32", "grouped_mm, bf16", "batched_mm, medium"}
    assert found["tokens"]["real"] < found["tokens"]["padded"]
    padding = found["tokens"]["padded"] / found["tokens"]["real"]
    assert found["ratio"] == pytest.approx(found["ratio_padding_counted"] * padding)


@pytest.mark.parametrize("batch", [1, 3])
def test_decoding(batch):
    found = decoding.run(TINY, 1, batch, tokens=(4, 12), new=6)
    assert found["equal_tokens"] == 1.0
    assert found["new_tokens"] == batch * 6


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
