"""Greedy answers equal those of transformers' `generate`, token for token, for imported checkpoints."""

import glm_towers
import numpy as np
import pytest
import torch
from tiny import pack

pytest.importorskip("transformers")

from released import CONFIGS, IMAGE, save

from vlmloom.assemblies.generation import Sampling
from vlmloom.pipelines.loading import load_assembly
from vlmloom.pipelines.weights.importing import import_released

NEW = 16
MORE = {"glm_moe_dsa": {"index_n_heads": 16}}
"""With few heads many keys score exactly 0; which are selected differs even within transformers."""


@pytest.fixture(scope="module", params=CONFIGS)
def both(request, tmp_path_factory):
    """Their model and ours, imported from its checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    theirs = save(request.param, folder / "released", **MORE.get(request.param, {}))
    import_released(folder / "released", folder / "ours")
    ours = load_assembly(folder / "ours", dtype=torch.float32).eval()
    theirs.generation_config.eos_token_id, theirs.generation_config.pad_token_id = None, 0
    return theirs, ours


def prompts(pictures, count=20):
    """Text alone and, where there is a tower, one to three pictures of different sizes."""
    dice = np.random.default_rng(5)
    found = []
    for number in range(count):
        parts = [dice.integers(1, IMAGE, dice.integers(2, 9)).tolist()]
        for _ in range(number % 4 if pictures else 0):
            parts.append((tuple(dice.integers(1, 4, 2).tolist()), int(dice.integers(1 << 30))))
            parts.append(dice.integers(1, IMAGE, dice.integers(1, 6)).tolist())
        found.append(parts)
    return found


def asked(theirs, batch, **how):
    """Their answer to the one prompt of a batch."""
    given = {"input_ids": batch.ids[None], "attention_mask": torch.ones_like(batch.ids)[None]}
    if len(batch.visual_slots):
        patches, grids = glm_towers.as_reference(batch.visuals["vision"])
        given |= {
            "pixel_values": patches, "image_grid_thw": grids, "mm_token_type_ids": batch.modality[None].int()
        }  # fmt: skip
    ids = theirs.generate(**given, max_new_tokens=NEW, do_sample=False, use_cache=True, **how)
    return ids[0, batch.lengths[0] :].tolist()


@pytest.mark.parametrize("how", [{}, {"repetition_penalty": 1.3}], ids=["plain", "penalty"])
def test_20_prompts(both, how):
    theirs, ours = both
    every = prompts(pictures=ours.vision is not None)
    wanted = [asked(theirs, pack(ours, [parts], image=IMAGE), **how) for parts in every]
    got = ours.generate(pack(ours, every, image=IMAGE), stop=-1, limit=NEW, sampling=Sampling(**how))
    assert got == wanted
    assert len({token for row in got for token in row}) > 8, "answers differ enough to mean something"
