"""The copy of a model that is sharded while the model itself stays whole."""

import torch
from lightning.pytorch import LightningModule
from tiny import native
from torch import nn

from vlmloom.components.contracts.frozen import Frozen
from vlmloom.pipelines import sharded
from vlmloom.pipelines.deferred import deferred
from vlmloom.pipelines.sharded import attributes_kept, shard, sharded_copy


class Standing(nn.Module):
    """An objective on a frozen model."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = Frozen(trunk)


def test_a_copy_knows_what_its_parameters_knew_and_lies_so_that_it_can_be_cut():
    model = native()
    model.kernel = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    model.language.embed.weight.untrainable = True
    model.lm.requires_grad_(False)
    twin = sharded_copy(model, nn.Module())
    for (name, own), (_, copied) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert copied is not own and torch.equal(copied, own), name
        assert copied.is_contiguous() and vars(copied) == vars(own), name
        assert copied.requires_grad == own.requires_grad, name
    assert not model.kernel.weight.is_contiguous()
    assert vars(twin.language.blocks[0].qkv.weight)["muon_splits"]


def test_a_frozen_trunk_is_referred_to_and_not_copied():
    trunk, model = native(), native(head="mtp")
    head = model.head["mtp"]
    head._bound = (trunk.language, trunk.lm)
    twin = sharded_copy(head, Standing(trunk))
    assert twin._bound[0] is trunk.language and twin._bound[1] is trunk.lm
    assert twin.steps[0].eh_proj is not head.steps[0].eh_proj


def test_parameters_that_are_made_anew_are_told():
    layer = nn.Linear(2, 2)
    layer.weight.muon_splits = (1, 1)
    with attributes_kept(layer):
        layer.weight = nn.Parameter(torch.zeros(2, 2))
    assert layer.weight.muon_splits == (1, 1)


def test_one_unit_at_a_time_is_whole(monkeypatch):
    root = LightningModule()
    root.model = sharded_copy(deferred(native), nn.Module())
    cut: set[nn.Parameter] = set()
    sizes = []

    def fully_shard(unit, **rest):
        uncut = {one for one in root.parameters() if not one.is_meta and one not in cut}
        drawn = {one for one in uncut if one.ndim > 1}  # Norms are ones from the beginning.
        assert drawn and drawn <= set(unit.parameters())
        sizes.append(sum(one.numel() for one in drawn))
        cut.update(unit.parameters())

    monkeypatch.setattr(sharded, "fully_shard", fully_shard)
    shard(root, None)
    assert len(sizes) > 4 and cut == set(root.parameters())
    assert max(sizes) < sum(sizes) / 2
