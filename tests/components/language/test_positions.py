"""Rotary positions equal transformers' get_rope_index, in every GLM that has one."""

import importlib
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vlmloom.components.contracts.packed import Span
from vlmloom.components.language.rotary import positions_of

MODELS = {"glm4v": "Glm4v", "glm4v_moe": "Glm4vMoe", "glm46v": "Glm46V", "glm_ocr": "GlmOcr"}
TEXT, IMAGE, VIDEO = 0, 1, 2


def rope_index(model, samples, merge):
    """transformers' rule for a batch padded on the left, asked without building a whole model.

    Args:
        model: a key of `MODELS`.
        samples: of each sample, (kind, span) pairs; a clip is one grid of several frames, in spans of one.
        merge: the side of a merge group.
    """
    module = importlib.import_module(f"transformers.models.{model}.modeling_{model}")
    cls = getattr(module, f"{MODELS[model]}Model")
    asked = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=merge)))
    asked.get_vision_position_ids = partial(cls.get_vision_position_ids, asked)
    types = [[kind for kind, span in sample for _ in range(span.length)] for sample in samples]
    longest = max(map(len, types))
    pads = [longest - len(own) for own in types]
    grids = {IMAGE: [], VIDEO: []}
    for sample in samples:
        for kind, span in sample:
            if kind != TEXT:
                frames, rows, columns = span.grid
                grids[kind].append((frames, rows * merge, columns * merge))
    found, deltas = cls.get_rope_index(
        asked,
        torch.zeros(len(samples), longest, dtype=torch.long),
        torch.tensor([[0] * pad + own for pad, own in zip(pads, types, strict=True)]),
        image_grid_thw=torch.tensor(grids[IMAGE]) if grids[IMAGE] else None,
        video_grid_thw=torch.tensor(whole_clips(grids[VIDEO])) if grids[VIDEO] else None,
        attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads]),
    )
    return [found[:, row, pad:].numpy() for row, pad in enumerate(pads)], deltas[:, 0].tolist()


def whole_clips(frames):
    """Runs of equal frames as one clip, as the processor counts them."""
    clips = []
    for _, rows, columns in frames:
        if clips and clips[-1][1:] == [rows, columns]:
            clips[-1][0] += 1
        else:
            clips.append([1, rows, columns])
    return clips


def text(length):
    return [(TEXT, Span(length))]


def picture(rows, columns):
    return [(IMAGE, Span(rows * columns, (1, rows, columns)))]


def clip(frames, rows, columns, stamp):
    """Frame pairs, each followed by its time in words."""
    return [*[(VIDEO, Span(rows * columns, (1, rows, columns))), *text(stamp)] * frames]


SAMPLES = {
    "text": text(9),
    "one picture": text(2) + picture(3, 4) + text(3),
    "picture at the end": text(1) + picture(2, 5),
    "pictures of different sizes": picture(1, 1)
    + text(1)
    + picture(6, 2)
    + text(4)
    + picture(1, 7)
    + text(1),
    "clip": text(3) + clip(4, 2, 3, 2) + text(5),
    "two clips and a picture": clip(2, 3, 1, 1) + text(2) + picture(4, 4) + text(1) + clip(3, 2, 2, 4),
}


def ours(sample):
    return positions_of([span for _, span in sample])


@pytest.mark.parametrize("merge", [2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_positions_of_every_kind_alone_and_in_a_batch(model, merge):
    pytest.importorskip("transformers")
    for sample in SAMPLES.values():
        found, _ = rope_index(model, [sample], merge)
        np.testing.assert_array_equal(ours(sample), found[0])
    found, deltas = rope_index(model, list(SAMPLES.values()), merge)
    for sample, theirs, delta in zip(SAMPLES.values(), found, deltas, strict=True):
        np.testing.assert_array_equal(ours(sample), theirs)
        # What decoding adds to the number of tokens read: the next token's position less that number.
        assert ours(sample).max() + 1 - theirs.shape[1] == delta


@pytest.mark.parametrize("model", MODELS)
def test_positions_of_random_batches(model):
    pytest.importorskip("transformers")
    generator = np.random.default_rng(3)
    for _ in range(20):
        samples = []
        for _ in range(3):
            sample = text(generator.integers(1, 5))
            for _ in range(generator.integers(0, 4)):
                rows, columns, frames = generator.integers(1, 6, size=3).tolist()
                sample += picture(rows, columns) if frames < 3 else clip(frames, rows, columns, 2)
                sample += text(generator.integers(1, 5))
            samples.append(sample)
        found, _ = rope_index(model, samples, 2)
        for sample, theirs in zip(samples, found, strict=True):
            np.testing.assert_array_equal(ours(sample), theirs)


def test_frames_of_one_span_stand_like_pictures_that_touch():
    touching = [Span(1), Span(6, (1, 2, 3)), Span(6, (1, 2, 3)), Span(1)]
    np.testing.assert_array_equal(
        positions_of([Span(1), Span(12, (2, 2, 3)), Span(1)]), positions_of(touching)
    )


def test_positions_of_nothing_and_of_a_wrong_span():
    assert positions_of([]).shape == (3, 0)
    with pytest.raises(ValueError, match=r"a span of 5 tokens has the grid \(1, 2, 2\); these do not agree"):
        positions_of([Span(5, (1, 2, 2))])
