"""vision/llm_init: the blocks of a language part, for patches instead of words."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from glm_towers import PlainProducts, draw

from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn.swiglu import SwiGLU
from vlmloom.components.language.glm import GLM
from vlmloom.components.vision.llm_init import LLMInit
from vlmloom.registry import build

PATCH = 4
FFN = {"ffn": {"use": "ffn/swiglu", "hidden": 48}}


def language(depth: int = 2, **changes) -> GLM:
    torch.manual_seed(0)
    layers = [{"ffn": partial(SwiGLU, hidden=48)}] * depth
    sizes = {"vocab": 11, "width": 32, "depth": depth, "heads": 2, "qk_norm": True, "rotary_fraction": 1.0}
    return GLM(**{**sizes, "layers": layers, "attention": SDPA(), "init_std": 0.2, **changes})


def tower(part: GLM | None = None, **changes) -> LLMInit:
    return LLMInit(language=part or language(), **{"patch": PATCH, "clip_merge": 1, **changes})


def test_the_weights_are_those_of_the_language_part_and_no_word_is_left():
    part = language()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    state = tower(part).state_dict()
    assert state.keys() - {f"language.{name}" for name in before} == {
        "patch_embed.weight",
        "patch_embed.bias",
    }
    assert {f"language.{name}" for name in before} - state.keys() == {"language.embed.weight"}
    for name in before.keys() - {"embed.weight"}:
        assert torch.equal(state[f"language.{name}"], before[name]), name


@pytest.mark.parametrize("touched", [0, 7, 23])
def test_a_patch_is_seen_by_all_of_its_frame_and_by_none_of_another(touched):
    made, given = tower(), draw([(1, 4, 6), (2, 4, 4), (1, 2, 2)], PATCH)
    before = made(given)[0].tokens
    for start in (0, 24, 40):
        place, count = start + touched % 16, 24 if start == 0 else 16
        patches = given.patches.clone()
        patches[place] += 1
        after = made(Visuals(patches, given.grids, given.shapes, given.block))[0].tokens
        changed = (after != before).any(1)
        expected = torch.zeros(len(before), dtype=torch.bool)
        expected[start : start + count] = True
        assert torch.equal(changed, expected)


class Watching(Attention):
    """Keeps queries and keys as they come, rotated."""

    def forward(self, query, key, value, lengths, mask, scale=None):
        """See `Attention.forward`."""
        self.seen = query, key
        return value


@pytest.mark.parametrize("rotation", ["half", "interleaved"])
def test_products_of_queries_and_keys_are_those_of_a_two_dimensional_rotation(rotation):
    watching = Watching()
    made = tower(language(1, heads=1, attention=watching, rotation=rotation, rope_theta=50.0))
    shape, alike = (1, 3, 5), torch.randn(1, 3 * PATCH**2)
    made(Visuals(alike.expand(15, -1), torch.tensor([shape]), [shape]))
    query, key = (part[:, 0] for part in watching.seen)
    logits = (query @ key.T).view(3, 5, 3, 5)
    # The first patch lies at (0, 0), where nothing is turned: its query and key are those of all.
    if rotation == "half":
        q, k = (torch.complex(*part[0].chunk(2)) for part in (query, key))
    else:
        q, k = (torch.view_as_complex(part[0].view(-1, 2)) for part in (query, key))
    frequencies = 50.0 ** -(torch.arange(8) / 8)
    for down in range(-2, 3):
        for right in range(-4, 5):
            turn = torch.exp(1j * torch.cat((down * frequencies, right * frequencies)))
            expected = (q * (k * turn).conj()).real.sum()
            found = [
                logits[row, column, row + down, column + right]
                for row in range(3)
                for column in range(5)
                if 0 <= row + down < 3 and 0 <= column + right < 5
            ]
            torch.testing.assert_close(torch.stack(found), expected.expand(len(found)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("block", [1, 2])
def test_maps_are_made_smaller_as_torch_does_bilinearly(block):
    shapes = [(1, 6, 4), (2, 8, 12)]
    given = draw(shapes, PATCH)
    given.block = block
    whole, small = tower(), tower(merge=1, clip_merge=2)
    features, _ = small(given, taps=(0,))
    assert features.shapes == small.token_grids(shapes) == [(1, 6, 4), (2, 4, 6)]
    wide, _ = whole(given, taps=(0,))
    for found, exact in ((features.tokens, wide.tokens), (features.taps[0], wide.taps[0])):
        still, clip = exact.split([24, 192])
        order = reorder(shapes[1:], block, 1)
        clip = clip if order is None else clip[order]
        maps = clip.view(2, 8, 12, 32).permute(0, 3, 1, 2)
        maps = torch.nn.functional.interpolate(maps, (4, 6), mode="bilinear")
        clip = maps.permute(0, 2, 3, 1).reshape(48, 32)
        order = reorder([(2, 4, 6)], 1, block)
        clip = clip if order is None else clip[order]
        assert torch.equal(found[:24], still)
        torch.testing.assert_close(found[24:], clip, atol=1e-6, rtol=1e-5)


def test_pictures_are_cut_so_that_their_tokens_divide():
    spec = tower(merge=1, clip_merge=2).patch_spec.with_block(2)
    assert spec.grid(1, 5 * PATCH, 6 * PATCH) == (1, 4, 6)
    assert spec.grid(3, 6 * PATCH, 13 * PATCH) == (3, 8, 12)
    assert Visuals.blank(tower(merge=2).patch_spec).shapes == [(1, 2, 2)]


@pytest.mark.parametrize("shapes", [[(1, 4, 6), (1, 2, 2)], [(4, 4, 8)], [(1, 2, 2), (2, 4, 4)]])
@pytest.mark.parametrize("temporal", [1, 2])
def test_flops_are_those_counted(shapes, temporal):
    from torch.utils.flop_counter import FlopCounterMode

    made = tower(language(attention=PlainProducts()), temporal=temporal, clip_merge=2)
    with FlopCounterMode(display=False) as counter:
        made(draw(shapes, PATCH))
    assert made.flops(shapes) == counter.get_total_flops()


def test_a_language_model_still_counts_half():
    part = language()
    assert part.flops([6]) < sum(block.flops([6], full=True) for block in part.blocks)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: tower(merge=0), "vision/llm_init: merge is 0; it must be at least 1"),
        (lambda: tower(language(rotary_fraction=0.375)), "6 components of a head are rotated, which do not"),
        (lambda: tower(temporal=2)(draw([(3, 2, 2)], PATCH)), "found a clip of 3 frames .* multiple of 2"),
        (lambda: tower(clip_merge=3)(draw([(2, 4, 6)], PATCH)), "found 4 x 6 patches, of which 3 x 3 become"),
        (
            lambda: tower()(draw([(1, 2, 2)], PATCH), taps=(2,)),
            "layer 2 was asked for; there are layers 0 to",
        ),
    ],
)
def test_errors_say_what_would_be_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_attention_that_stays_causal_is_refused_in_one_line():
    sizes = {"query_rank": 8, "kv_rank": 8, "nope_size": 8, "rope_size": 8, "value_size": 8}
    dsa = {"use": "language/glm_dsa", "vocab": 8, "width": 32, "depth": 1, "heads": 2, "layers": [FFN]}
    with pytest.raises(
        ValueError, match=r"language/glm_dsa: its attention stays causal, .*/glm would be right"
    ):
        LLMInit(language=build(dsa | sizes))
